"""The words of amount: how much of a fault, how good a dimension, how loud a voice. See `lexicon`."""

from __future__ import annotations

import re

Interval = tuple[float, float]
"""Categories, 0 (bad) to 4 (excellent), with fractions where a word is vague."""


def any_of(lines: str) -> str:
    """A pattern of all alternatives of a list; the end of a line parts two of them as "|" does."""
    return "|".join(line.strip() for line in lines.strip().splitlines())


def table(text: str) -> list[tuple[list[str], str]]:
    """Rows of "head: alternatives", where indented lines go on with the alternatives → words of the head, pattern."""
    rows = [row.partition(":") for row in re.split(r"\n(?=\S)", text.strip())]
    return [(head.split(), any_of(rest)) for head, _, rest in rows]


def intervals(text: str) -> tuple[tuple[str, Interval], ...]:
    """A table whose heads are the two ends of an interval."""
    return tuple((pattern, (float(low), float(high))) for (low, high), pattern in table(text))


SOFT = any_of(r"""
    low(?!-| (?:point|frequenc|end|electrical|mains|hum|drone|rumble|murmur|tone|pitch|rate|bit|score|mark))
    (?:quiet(?:ly)?|faint(?:ly)?|soft(?:ly)?|weak|feeble|gentle)(?!-| (?:point|side|spot|link|frequenc|end|place|room
    environment|surroundings|office|setting|moment))
    well (?:below|under|beneath|behind) the (?:voice|speech|words|talker)
""")
"""A fault of a voice or a level, but a small amount of noise."""
UNHEARD = r"inaudible|(?:barely|hardly|scarcely|almost not) audible"
"""Next to no noise; a voice that is far too quiet."""
LOUD = r"loud(?:ly)?|high|roar(?:s|ing)|shouting"
"""A large amount of noise; of a voice nothing is claimed ("too loud" is a flaw)."""

DEGREES = intervals(r"""
0 0.7:
    (?:almost|nearly|hardly|barely|scarcely|not|cannot|can't|no longer) (?:be )?(?:unintelligible|intelligible
    understood|understandable|followed)
    (?:not (?:one|a single)|no|hardly a|barely a) (?:word|sentence|syllable) (?:survives|gets? (?:through|past)|remains
    is left|comes through|arrives (?:whole|complete|intact))
    could(?:n't| not| hardly| scarcely| barely) (?:be|get) (?:any )?(?:worse|noisier|stronger|louder)
    (?:as strong|as severe) as (?:it|they|can) (?:gets?|can be)|unintelligible|incomprehensible
    impossible to (?:follow|understand|make out)|nothing is left|leaves? (?:nothing|little|not much
    hardly anything) of|(?:almost |nearly )?no chance
    overwhelmed|swallow\w*|overpower\w*|(?:a )?wall of|(?:even )?louder than the (?:talker|voice|speech|words)
    listening (?:almost |nearly |is )*impossible|(?:barely|hardly|scarcely) cope
    flood(?:ed|s|ing)
    (?:voice|words|speech|talker|speaker|sentences)(?: (?:of|the|talker|can|could|are|is|be|to|still|of it
    that))* (?:barely
    hardly|scarcely) (?:be )?(?:there|made out|picked out|heard|listened to|recogni[sz]ed)
    (?:barely|hardly|scarcely) be (?:picked out|listened to|made out|recogni[sz]ed|endured)
    (?:hardly|barely|scarcely) anything (?:of the \w+ )?(?:is left|gets|comes|remains)(?: through)?
0 1:
    extreme(?:ly)?|full of|drenched|soaked|awash|bathed|smothered|submerged|steeped|saturated|riddled with|littered with
    crippl\w+|wip(?:es|ed|ing) out|so far off|hurts|painful(?:ly)?|tortur\w*|torment|nightmare|overwhelm(?:s|ing)(?:ly)?
    unbearabl[ey]|massive(?:ly)?|devastat\w+|ruin(?:s|ed|ing|ous)|destroy\w*|obliterat\w*|buries|buried|burying
    dominates everything|almost completely(?! (?:free|clean|absent|silent|without))|nearly every word
    almost every (?:word|syllable|sentence)|catastrophic(?:ally)?|unusable|cover(?:s|ed) (?:nearly )?everything
    so (?:loud|strong|bad|badly|heavy|severe|severely|often|frequent|frequently|much|many|heavily|strongly
    dense)(?! as\b)|every other (?:word|second|moment)
0 1.1:
    severe(?:ly)?|drastic(?:ally)?|brutal(?:ly)?|horrendous(?:ly)?|horrific(?:ally)?|monstrous|ear-splitting
    intolerabl[ey]|deafening(?:ly)?|thunderous|(?:dreadful|terrib|awful|horrib|atrocious|appalling)ly
0 1.5:
    strong(?:ly)?|heav(?:y|ily|ier)|frequent(?:ly)?|intense(?:ly)?|gross(?:ly)?|badly|great(?:ly)?(?= (?:noise|gaps?
    distortion|amounts?|numbers?|extent|deal))|numerous|innumerable
    (?:constant|perpetual|continual)(?:ly)?(?= (?:\w+ )?(?:interrupt|drop|gap|break|stutter|chop|cut|torn))
    (?:every|each) (?:second|other|single) (?:word|syllable)|most of the (?:words|syllables|speech)
    (?:savage|vicious|violent|furious|wild|glaring|blatant|egregious|crushing|oppressive|staggering|tremendous
    immense|vast|crass|ferocious|harsh|excessive|profound|incessant|relentless|serious|enormous|rigorous)(?:ly)?
    chronic(?:ally)?|through the roof|everywhere|all over the place|blaring|out of (?:all )?proportion|as strong as
    hardly bearable|non-stop|over and over|time and (?:time )?again|off the charts?|rampant|many|countless|thick|dense
    deep|constant companion|makes? (?:it |listening )(?:very |really )?(?:tiring|hard|difficult|exhausting|unpleasant)
    again and again|all the time|(?:a|an awful) lot|lots|plenty|hard to (?:follow|hear|bear|listen to|make out
    understand
    recogni[sz]e)|listening (?:is )?(?:hard|difficult)|hard work|a (?:great|good) deal|much(?! too)|powerful
    tiring|compet(?:es|ing)|take[sn]? (?:\w+ ){0,3}away|large|major|huge|big|riddled|plagued|rife|fierce|foreground
    far off
    asks? for much effort|high (?:amount|degree) of|heavily covered
0 2:
    considerabl[ey]|significant(?:ly)?|marked(?:ly)?(?! by)|spoil\w*|prominent(?:ly)?|pronounced|substantial(?:ly)?
    distinct(?:ly)?|obvious(?:ly)?
    (?:clearly|plainly) (?:be )?(?:audible|heard|noticeable|noticed|notices?|hears?)
    a clear (?:layer|sign|trace|change)|annoy(?:ing(?:ly)?|s|ed)
    (?:fights?|struggles?) (?:\w+ )?(?:against|through|with)|hard on the ears?
    an? (?:strain|effort)|takes? (?:\w+ )?effort|work hard|fill(?:s|ed)|repeated(?:ly)?
    disturbing(?:ly)?|intrusive|distract(?:ing(?:ly)?|ed|s)|hard to ignore|every few (?:words|seconds|syllables)|often
    (?:never|rarely|hardly ever|seldom) (?:lets? up|stops?|pauses?|ceases?|ends?)|keeps? (?=\w+ing)|regular(?:ly)?
    irritating(?:ly)?|bothersome|troublesome|tiresome|obtrusive
0.6 2.6:
    clearly (?=colou?red|changed|off|disturbed|interrupted|distorted|affected)
1 2.6: moderate(?:ly)?|in moderation|noticeabl[ey]|medium|middling|plain(?:ly)? (?:to hear|audible)
0.9 3:
    several|in places|some(?! of)|to (?:some|a certain) (?:extent|degree)|somewhat|a few|rather|now and then
    here (?:and|or) there|a fair (?:amount|bit|number) of|from time to time|at times|sometimes|intermittent(?:ly)?
0 3.1:
    affected|(?:away from|short of|less than|off the) ideal|off|disturb\w*|bother\w*|impair(?:s|ed|ing)?
    damag(?:es?|ed|ing)|degrad(?:es?|ed|ing)|compromis(?:es?|ed|ing)|deteriorat\w*|reduced|diminished
2 4:
    slight(?:ly)?|a (?:little|bit|touch|tad|hint|trace|whiff|shade)|mild(?:ly)?|minor|light(?:ly)?|small|one or two
    a couple of|(?<!cut )short|occasional(?:ly)?|subtle|subtly|in the (?:far )?distance|distant(?:ly)?|far away
    (?:easy to|easily) (?:ignored?|overlook(?:ed)?|miss(?:ed)?|overhear(?:d)?)
    benign|superficial|marginal(?:ly)?|smidgen|unproblematic|a whisper of|harmless|fleeting
    nothing (?:serious|dramatic|much|to worry about|major|severe)
    (?:stays|remains|keeps) (?:well )?in the background|momentary|brief(?:ly)?|every (?:so often|now and then
    once in a while|now and again)|a dash|a speck|a handful
    modest(?:ly)?|(?:just|only) a (?:little|bit|touch|hint|trace)|traces?|once or twice|if anything|perhaps
    isolated|sporadic(?:ally)?|infrequent(?:ly)?|a (?:\w+ )?(?:\w+ )or two|(?:the )?odd(?= (?:\w+ )?(?:gap|break|drop|
    hiccup|click|interruption|stutter))|too (?:weak|faint|soft|low|quiet|little|few|slight|small|rare) to (?:disturb
    bother|matter|be (?:disturbing|annoying|noticed)|annoy|distract|notice)|if you listen for it|only on close listening
2.2 4: rare(?:ly)?|seldom
2.6 4:
    (?:hardly|scarcely|barely) ever
    (?:(?:very|only|too|so) )?(?:little|few)(?! (?:(?:is|remains) )?(?:left )?of the (?:voice|natural|talker))
    (?:almost|nearly|practically|virtually|next to
    as good as) no(?:ne)?
    (?:hardly|barely|scarcely)(?: any\b)?(?! (?:be|there|sounds?|anything|a (?:word|chance|sentence)|gets?|left|human
    natural
    clean|half|a third|a quarter))|all but (?:absent|gone|silent)|negligibl[ey]|next to nothing|close to (?:zero|none
    nothing)|faintest
    (?:barely|hardly|scarcely) (?:enough to (?:be )?notice\w*|there(?: at all)?$|worth (?:a )?mention\w*|detectable
    discernible|worth)|minimal(?:ly)?|to a minimum|insignificant|unobtrusive|(?:barely|hardly|scarcely) (?:noticeable
    perceptible
    disturbs?)|imperceptibl[ey]|tiny|vanishing(?:ly)?|very (?:slight(?:ly)?|faint(?:ly)?|low|mild|rare(?:ly)?|light)
    matters? little|not worth mentioning|the least|(?:almost|nearly|practically|virtually|next to) (?:absent|nonexistent
    non-existent)
""")
"""How much of a fault → what the rating can be."""

PLENTY = r"plenty|lots|a lot|much|many|(?:very |only |too |so )?(?:little|few)|a (?:great|good) deal"
PRESENT = any_of(r"""
    there(?:'s| is| are)|can be (?:heard|made out)|is (?:present|audible|heard)|are (?:present|audible|heard)
    audible|suffers? from|hear(?:s)?|make out
""")
INTENSE = r"very|extremely|highly|really|terribly|grossly|badly|heavily|strongly|severely|much|far|so|massively"
"""Before a flaw: worse than the bare word."""
FULLY = r"perfectly|completely|entirely|absolutely|fully|totally|wholly|utterly|beautifully"
PARTLY = any_of(r"""
    fairly|reasonably|mostly|largely|quite|nearly|almost|rather|moderately|close to|relatively|more or less
    sufficiently
""")
"""Before a merit: the whole of it, or less than that."""
SCANT = r"(?:barely|hardly|scarcely|little|nothing)(?: anything)?"
"""Before a merit: its opposite ("hardly natural")."""

# low and high end of a dimension, then of the overall quality: words
GRADES: tuple[tuple[str, Interval, Interval], ...] = tuple(
    (pattern, (float(low), float(high)), (float(least), float(most)))
    for (low, high, least, most), pattern in table(r"""
3 4 3 4:
    without (?:a |any )?(?:faults?|flaws?|blemish(?:es)?)|no (?:faults?|flaws?|blemish)|nothing (?:is )?wrong
    as good as (?:it|they) (?:can be|gets?)|leaves? nothing to (?:wish for|be desired)|free of (?:faults?|flaws?)
    beyond (?:complaint|criticism)
    (?:cannot|can't|could not|can hardly) be (?:faulted|criticised|criticized|improved)
3.2 4 4 4: excellent(?:ly)?|top-notch|terrific|magnificent|superb(?:ly)?|outstanding(?:ly)?|first-rate|first-class
0 1 0 1: as bad as (?:it|they) (?:gets?|can be)
3.2 4 3.4 4:
    perfect(?:ly)?|flawless(?:ly)?|ideal(?:ly)?|impeccabl[ey]|immaculate(?:ly)?|faultless(?:ly)?|beyond reproach|optimal
    could(?:n't| not| hardly| scarcely) be (?:any )?(?:better|cleaner|smoother|quieter)
2.8 4 3 4: very good
2.6 4 3 3: good
2.6 4 2.6 4: leaves? (?:hardly anything|very little|little) to (?:wish for|be desired)
2.6 4 2.7 4:
    (?<=is )great|(?<=are )great|(?<=sounds )great|great (?=quality|recording|clip|sound|call|sample|shape)
    high[- ]quality|(?:high|superior)(?= quality)
0 1.6 0 1.6: low[- ]quality|low(?= quality)
2.9 4 2 4:
    right(?! (?:behind|next|beside|through|in|on|at|up|down|after|before|from the (?:start|beginning)|away|now|hand
    under|over))|spot[ -]on
    just so|proper|in (?:perfect )?order|comfortabl[ey]|pleasant(?:ly)?|suits the ear|a (?:pleasure|joy|delight)
    pleasing|correct|as (?:it|they) should(?: be)?
2.5 4 2 4:
    fine|okay|ok|adequate(?:ly)?|decent|healthy|solid|normal|appropriate|balanced|unobjectionable|suitable|agreeable
    convenient|sensible|undisturbed|nothing to complain about|hold(?:s|ing)? up|unimpaired|unaffected|all right
    preserved|retained|unharmed
    well maintained
1.3 3.1 1.3 3.2: acceptabl[ey]|tolerabl[ey]|satisfactory|passable|bearable|reasonabl[ey]
1.4 3 2 2: fair|average|middling|so-so
0.4 2.4 0.7 2.2:
    mediocre|lacklustre|below average|unsatisfactory|lacking|suboptimal|unsuitable|inadequate|insufficient|inappropriate
    wrong(?! with)|unpleasant(?:ly)?|uncomfortabl[ey]|disagreeable|leaves? (?:much|a lot|something
    a great deal) to be desired
    not right
0 1.5 1 1: poor(?:ly)?|inferior|deficient
0 1.3 0 0:
    bad(?:ly)?|lousy|miserabl[ey]|disastrous(?:ly)?|a disaster|rubbish|hopeless(?:ly)?|worthless|useless|terribl[ey]
    awful(?:ly)?|dreadful|horrible|abysmal|atrocious|unacceptable|unusable
""")
)

TROUBLE = any_of(r"""
    (?<!only )(?<!sole )(?<!single )(?:an |the |(?:any |much )?(?:serious |real |great )?)?(?:(?:issue|problem|concern
    complaint|impairment|defect|nuisance|annoyance|disturbance|worrie?
    handicap|objection)s?|worry|(?:reason|cause|grounds) (?:to (?:complain|worry)|for (?:complaints?|criticism|concern
    worry))|trouble|wrong with|bothers?|(?:gets?|stands?|is|comes?)? ?in the way|to blame)
    plays? (?:a|any) (?:role|part)
""")
"""What a dimension may be said to be, or not to be."""

AMOUNT_OF_NOISE: dict[str, Interval] = {"soft": (2.2, 4), "loud": (0, 2), "unheard": (3, 4)}
LEVEL_OF_VOICE: dict[str, Interval] = {"soft": (0, 2.8), "loud": (0, 2.8), "unheard": (0, 1)}
