"""The words of amount: how much of a fault, how good a dimension, how loud a voice. See `lexicon`."""

from __future__ import annotations

Interval = tuple[float, float]
"""Categories, 0 (bad) to 4 (excellent), with fractions where a word is vague."""

SOFT = (
    r"low(?!-| (?:point|frequenc|end|electrical|mains|hum|drone|rumble|murmur|tone|pitch|rate|"
    r"bit))|(?:quiet(?:ly)?|faint(?:ly)?|soft(?:ly)?|weak|feeble|gentle|well (?:below|"
    r"under) the (?:voice|speech|words))(?!-| (?:point|side|spot|link|frequenc|end|place|room|"
    r"environment|surroundings|office|setting|moment))"
)
"""A fault of a voice or a level, but a small amount of noise."""
UNHEARD = r"inaudible|(?:barely|hardly|scarcely|almost not) audible"
"""Next to no noise; a voice that is far too quiet."""
LOUD = r"loud(?:ly)?|high|roaring|shouting"
"""A large amount of noise; of a voice nothing is claimed ("too loud" is a flaw)."""

DEGREES: tuple[tuple[str, Interval], ...] = (
    ((
     r"(?:almost|nearly|hardly|barely|scarcely|not|cannot|can't|"
r"no longer) (?:be )?(?:unintelligible|intelligible|understood|understandable|followed)|"
     r"(?:not (?:one|a single)|no|hardly a|barely a) (?:word|sentence|syllable) (?:survives|"
r"gets? (?:through|past)|remains|is left|comes through|arrives whole)|could(?:n't| not| hardly| scarcely|"
r" barely) (?:be|get) (?:any )?(?:worse|noisier|stronger|louder)|"
     r"unintelligible|impossible to (?:follow|understand)|nothing is left|leaves nothing of|"
r"(?:almost |nearly )?no chance|overwhelmed|swallow\w*|overpower\w*|(?:a )?wall of|"
r"(?:even )?louder than the (?:talker|voice|speech|"
r"words)|lost in the noise|listening (?:almost |nearly |is )*impossible|(?:barely|hardly|"
r"scarcely) cope|flood(?:ed|s|ing)|"
     r"(?:voice|words|speech|talker|sentences)(?: \w+){0,9} (?:barely|hardly|"
r"scarcely) (?:be )?(?:there|made out|picked out|heard|listened to)|"
     r"(?:barely|hardly|scarcely) be (?:picked out|listened to)|(?:hardly|barely|"
r"scarcely) anything (?:of the \w+ )?(?:is left|gets|comes)(?: through)?"), (0, 0.7)),
    (
        r"extreme(?:ly)?|full of|drenched|soaked|awash|bathed|smothered|submerged|steeped|saturated|"
        r"riddled with|littered with|crippl\w+|wip(?:es|ed|ing) out|so far off|hurts|painful(?:ly)?|"
        r"torture|torment|nightmare|overwhelming(?:ly)?|unbearabl[ey]|massive(?:ly)?|devastating|"
r"ruin(?:s|ed|ing|ous)|destroy\w*|"
     r"obliterat\w*|buries|buried|burying|dominates everything|"
     r"almost completely|nearly every word|catastrophic(?:ally)?|unusable|cover(?:s|ed) (?:nearly )?everything|"
     r"so (?:loud|strong|bad|badly|heavy|severe|often|frequent|frequently|much|many|heavily|"
r"strongly|dense)(?! as\b)", (0, 1)),
    (r"strong(?:ly)?|heav(?:y|ily|ier)|severe(?:ly)?|frequent(?:ly)?|intense(?:ly)?|gross(?:ly)?|"
r"badly|terribly|awfully|"
     r"(?:constant|perpetual|continual)(?:ly)?(?= (?:\w+ )?(?:interrupt|drop|gap|break|stutter|chop|"
     r"cut|torn))|(?:every|each) (?:second|other|single) (?:word|syllable)|most of the (?:words|"
     r"syllables|speech)|brutal(?:ly)?|savage(?:ly)?|vicious(?:ly)?|violent(?:ly)?|furious(?:ly)?|"
     r"wild(?:ly)?|glaring(?:ly)?|blatant(?:ly)?|egregious(?:ly)?|chronic(?:ally)?|crushing(?:ly)?|"
     r"oppressive(?:ly)?|staggering(?:ly)?|tremendous(?:ly)?|immense(?:ly)?|vast(?:ly)?|monstrous|"
     r"crass(?:ly)?|through the roof|everywhere|all over the place|ferocious(?:ly)?|deafening(?:ly)?|"
     r"blaring|thunderous|horrendous(?:ly)?|horrific(?:ally)?|harsh(?:ly)?|excessive(?:ly)?|"
     r"profound(?:ly)?|out of (?:all )?proportion|as strong as|hardly bearable|ear-splitting|"
     r"incessant(?:ly)?|non-stop|over and over|time and (?:time )?again|off the charts?|"
     r"relentless(?:ly)?|rampant|serious(?:ly)?|many|countless|"
     r"thick|dense|deep|constant companion|makes? listening (?:tiring|hard|difficult|exhausting|"
r"unpleasant)|again and again|all the time|a lot|lots|plenty|hard to (?:follow|hear|bear|"
r"listen to)|listening (?:is )?(?:hard|difficult)|hard work|a great deal|much(?! (?:too|of))|"
r"enormous(?:ly)?|powerful|"
     r"tiring|compet(?:es|ing)|take[sn]? (?:\w+ ){0,3}away|large|major|huge|drastic(?:ally)?|"
r"riddled|plagued|rife|fierce", (0, 1.5)),
    (r"considerabl[ey]|significant(?:ly)?|marked(?:ly)?(?! by)|spoil\w*|prominent(?:ly)?|"
r"pronounced|substantial(?:ly)?|distinct(?:ly)?|"
     r"obvious(?:ly)?|(?:clearly|plainly) (?:be )?(?:audible|heard|noticeable|noticed|notices?|"
r"hears?)|a clear (?:layer|sign|trace|change)|annoying(?:ly)?|(?:fights?|"
r"struggles?) (?:\w+ )?(?:against|through|with)|hard on the ears?|an? (?:strain|effort)|"
r"takes? (?:\w+ )?effort|work hard|fill(?:s|ed)|repeated(?:ly)?|disturbing(?:ly)?|intrusive|"
r"distracting(?:ly)?|"
     r"hard to ignore|every few (?:words|seconds|syllables)|often|regular(?:ly)?", (0, 2)),
    (r"moderate(?:ly)?|noticeabl[ey]|medium|middling|plain(?:ly)? (?:to hear|audible)", (1, 2.6)),
    (
        r"several|in places|some(?! of)|to (?:some|a certain) (?:extent|degree)|somewhat|a few|rather|"
        r"now and then|here and there|"
r"a fair (?:amount|bit|number) of|"
     r"from time to time", (0.9, 3)),
    (r"affected|(?:away from|short of|less than|off the) ideal|off|disturb\w*|bother\w*", (0, 3.1)),
    (r"slight(?:ly)?|a (?:little|bit|touch|tad|hint|trace|whiff|shade)|mild(?:ly)?|minor|"
r"light(?:ly)?|small|one or two|a couple of|short|occasional(?:ly)?|"
     r"subtle|subtly|in the (?:far )?distance|distant(?:ly)?|far (?:away|off)|benign|superficial|"
     r"marginal(?:ly)?|smidgen|easy to (?:ignore|overlook|miss|overhear)|easily (?:ignored|overlooked|"
     r"missed|overheard)|unproblematic|nothing (?:serious|dramatic|much|to worry about|major|severe)|"
     r"a whisper of|harmless|fleeting|momentary|brief(?:ly)?|every (?:so often|now and then|"
     r"once in a while|now and again)|a dash|a speck|a handful|modest(?:ly)?|just a (?:little|bit|"
     r"touch|hint|trace)|only a (?:little|bit|"
r"touch|hint|trace)|trace|once or twice|"
     r"if anything|perhaps|rare(?:ly)?|isolated|sporadic(?:ally)?", (1.9, 4)),
    (r"(?:very |only |too |so )?(?:little|few)|(?:hardly|barely|scarcely)(?: any\b)?(?! (?:be|"
r"there|sounds?|anything|a (?:word|chance)|gets?|left|human|natural|clean))|next to no(?:ne)?|"
r"almost no(?:ne)?|"
     r"nearly no|practically no(?:ne)?|virtually no(?:ne)?|all but (?:absent|gone|silent)|"
r"negligibl[ey]|next to nothing|close to (?:zero|none|nothing)|faintest|(?:barely|hardly|"
r"scarcely) (?:enough to (?:be )?notice\w*|there(?: at all)?$|worth (?:a )?mention\w*|detectable|"
r"discernible|worth)|minimal(?:ly)?|insignificant|unobtrusive|"
     r"(?:barely|hardly|scarcely) (?:noticeable|perceptible|disturbs?)|imperceptibl[ey]|tiny|vanishing(?:ly)?|"
     r"very (?:slight(?:ly)?|faint(?:ly)?|low|mild|rare(?:ly)?|light)|matters? little|"
r"not worth mentioning|the least", (2.6, 4)),
)  # fmt: skip
"""How much of a fault → what the rating can be."""

PLENTY = r"plenty|lots|a lot|much|many|(?:very |only |too |so )?(?:little|few)|a great deal"
PRESENT = (
    r"there(?:'s| is| are)|can be (?:heard|made out)|is (?:present|audible|heard)|are (?:present|"
    r"audible|heard)|audible|suffers? from|hear(?:s)?|make out"
)
INTENSE = r"very|extremely|highly|really|terribly|grossly|badly|heavily|strongly|severely|much|far|so|massively"
"""Before a flaw: worse than the bare word."""
FULLY = r"perfectly|completely|entirely|absolutely|fully|totally|wholly|utterly|beautifully"
PARTLY = (
    r"fairly|reasonably|mostly|largely|quite|nearly|almost|rather|moderately|close to|relatively|"
    r"more or less|sufficiently"
)
"""Before a merit: the whole of it, or less than that."""
SCANT = r"(?:barely|hardly|scarcely|little|nothing)(?: anything)?"
"""Before a merit: its opposite ("hardly natural")."""

GRADES: tuple[tuple[str, Interval, Interval], ...] = (
    # words, of a dimension, of the overall quality
    (r"without (?:a |any )?(?:faults?|flaws?|blemish(?:es)?)|no (?:faults?|flaws?|blemish)|"
r"nothing (?:is )?wrong|as good as (?:it|they) (?:can be|gets?)|"
     r"leaves? nothing to (?:wish for|be desired)|free of (?:faults?|flaws?)|beyond complaint", (3, 4), (3, 4)),
    (r"excellent|top-notch|terrific|magnificent|superb|outstanding|first-rate", (3.2, 4), (4, 4)),
    ((
r"perfect(?:ly)?|flawless(?:ly)?|ideal(?:ly)?|impeccabl[ey]|immaculate(?:ly)?|faultless|"
r"beyond reproach|could(?:n't| not| hardly| scarcely) be (?:any )?(?:better|cleaner|smoother|quieter)"
), (3.2, 4), (3.4, 4)),
    (r"very good", (2.8, 4), (3, 4)),
    (r"good", (2.6, 4), (3, 3)),
    (
        r"(?<=is )great|(?<=are )great|(?<=sounds )great|great (?=quality|recording|clip|sound|call|"
        r"sample|shape)|high[- ]quality|(?:high|superior)(?= quality)", (2.6, 4), (2.7, 4)),
    (r"low[- ]quality|low(?= quality)", (0, 1.6), (0, 1.6)),
    ((
r"right(?! (?:behind|next|beside|through|in|on|at|up|down|after|before|from|away|now|hand|under|"
r"over))|spot[ -]on|just so|proper|in (?:perfect )?order|comfortabl[ey]|pleasant(?:ly)?|"
r"suits the ear|"
r"a (?:pleasure|joy|delight)"
), (2.9, 4), (2, 4)),
    (r"fine|okay|ok|adequate(?:ly)?|decent|healthy|solid|normal|"
     r"appropriate|balanced|unobjectionable|nothing to complain about|hold(?:s|ing)? up|unimpaired|"
r"unaffected", (2.5, 4), (2, 4)),
    (r"acceptabl[ey]|tolerabl[ey]|satisfactory|passable|bearable|reasonabl[ey]", (1.3, 3.1), (1.3, 3.2)),
    (r"fair|average|middling|so-so", (1.4, 3), (2, 2)),
    (r"mediocre|lacklustre|below average|unsatisfactory|lacking|suboptimal", (0.4, 2.4), (0.7, 2.2)),
    (r"poor(?:ly)?|inferior|deficient", (0, 1.5), (1, 1)),
    (
        r"bad(?:ly)?|lousy|miserabl[ey]|disastrous(?:ly)?|a disaster|rubbish|hopeless(?:ly)?|worthless|"
        r"useless|terribl[ey]|awful|dreadful|horrible|abysmal|atrocious|unacceptable|unusable", (0, 1.3), (0, 0)),
)  # fmt: skip

TROUBLE = (
    r"(?:an |the |any )?(?:issues?|problems?|concerns?|complaints?|(?:reason|cause|"
    r"grounds) (?:to complain|for (?:complaint|criticism))|trouble|bothers?|gets? in the way|"
    r"in the way|to blame|objections?)"
)
"""What a dimension may be said to be, or not to be."""

AMOUNT_OF_NOISE: dict[str, Interval] = {"soft": (2.2, 4), "loud": (0, 2), "unheard": (3, 4)}
LEVEL_OF_VOICE: dict[str, Interval] = {"soft": (0, 2.8), "loud": (0, 2.8), "unheard": (0, 1)}
