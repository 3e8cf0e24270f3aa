"""The words of speech quality: which dimension they speak of, and which categories of the 1–5 scale they can mean.

An `Interval` is in categories, 0 (bad) to 4 (excellent), with fractions where a word is vague; `scale.SLACK`
comes on top. Every table maps a regular expression (whole words, case ignored) to what it says. Order does not matter:
where two entries meet, the longer match holds.
"""

from __future__ import annotations

from training.language.degree_words import Interval, any_of, table

LEVEL_OF = r"(?! of (?!the\b|its\b|his\b|her\b|[AB]\b|speech\b))"
"""After "level": it is the voice's, rather than an amount of noise."""
TOPICS: dict[str, str] = {
    "noisiness": any_of(r"""
        background|pauses|SNR|signal-to-noise(?: ratio)?|backdrop|(?:recording )?environment|surroundings
        room(?= (?:of \w+ |of the speech )?(?:is|was) (?:\w+ )?(?:quiet|silent|noisy|loud))
    """),
    "coloration": any_of(r"""
        timbre|tone|naturalness|tonal (?:balance|quality)|sound of the (?:voice|talker|speaker)|voice quality
        voice itself
        voice colou?r|(?:tone|character|colou?r) of (?:the|his|her|its) voice
    """),
    "discontinuity": r"(?:speech )?flow|continuity|flow of (?:the )?(?:speech|words)",
    "loudness": any_of(rf"""
        (?:(?:output|speech|playback|listening|volume|loudness) )?levels?{LEVEL_OF}|(?:listening )?volume|loudness
    """),
}
"""What is spoken of, without judging it."""

FAULTS: dict[str, str] = {
    "noisiness": any_of(r"""
        (?:background |ambient )?nois(?:es?|iness)(?: (?:floor|level))?|interference|racket|din
        (?:background|disturbing|unwanted|extraneous|other) sounds?|rumble|roar
    """),
    "coloration": any_of(r"""
        (?:harmonic )?distortions?|colou?ration|colou?ring|art[ei]facts?|harshness|unnaturalness
        (?<=touch of )colou?r|(?<=bit of )colou?r|(?<=trace of )colou?r|(?<=tinge of )colou?r|tint|tinge
    """),
    "discontinuity": any_of(r"""
        gaps?|drop-?outs?|(?:signal )?breaks?|interruptions?|discontinuit(?:y|ies)|break-?ups?|cut-?outs?|holes?
        disruptions?|stutters|stuttering|hitch(?:es)?|hiccups?
        (?:lost|missing) (?:words|syllables|pieces|frames)|packets?
    """),
    "loudness": r"faintness|quietness|(?:level|volume|loudness) (?:problems?|issues?)",
}
"""Nouns whose amount is the fault: judged by a degree ("slight", "no")."""


def _by_dimension(text: str) -> tuple[tuple[str, Interval, str], ...]:
    return tuple((name, (float(low), float(high)), words) for (name, low, high), words in table(text))


FLAWS = _by_dimension(r"""
noisiness 0 2.1: noisy
noisiness 0 1:
    more (?:noise|hiss|hum|crackle) (?:\w+ ){0,2}?than (?:words|speech|voice|signal)(?! [AB]\b)|drown\w*|swamp(?:s|ed)
    engulf\w*|lost in (?:the |all the )?(?:\w+ )?(?:noise|din|hiss|racket|hum|babble|roar)
coloration 0 3:
    distort(?:s|ed)?|colou?rs?(?= (?:the|its?|his|her|both|their|it)\b)|colou?red|altered|changed
    changes? of (?:timbre|tone)|discolou?red
coloration 0 2.2:
    unnatural\w*|robotic|metallic|artificial|synthetic|hollow|boxy|harsh|garbled|mangled|nasal|raspy|robots?|tin can
    under ?water|shrill|screechy|lifeless|scratchy|gritty|(?:hardly|barely) resembles?
    (?:through|in|inside|from)(?: the bottom of)? an? (?:blanket|pillow|wall|sock|bucket|tube|pipe|barrel|tin)
coloration 0.5 3.2: less (?:than )?natural|not (?:quite|entirely|fully|completely) natural
coloration 0 2: (?:lack(?:s|ing)?|loss|loses|lost)(?: of)?(?: \w+)? naturalness
coloration 0 1.4: mutilat\w*|butcher\w*|massacr\w*|disfigur\w*|ravag\w*
coloration 0 3.3: thin(?:ner)?|tinny|dull|muffled
coloration 0 0.6:
    (?:nothing|hardly anything|little) natural (?:remains|is left|survives)
    wreck\w*|(?:hardly|barely|scarcely) (?:an? (?:\w+ )?natural|anything (?:\w+ )?(?:natural|human)
    (?:sounds? )?(?:natural|human))|beyond recognition|unrecogni[sz]able
    (?:barely|hardly|scarcely) recogni[sz]able
discontinuity 0 2: choppy|chopped|halting|discontinuous|disjointed|fragmented|patchy|jerky|jumpy
discontinuity 0 2.8:
    interrupt(?:s|ed)|broken|(?:cutting|dropping|breaking|fading) (?:out|off|in and out)
    (?:comes|goes|fades|drops|cuts) in and out|skips(?! a beat)|stop-and-go|staccato
    (?:a|some|the odd|another) (?:word|syllable|sound)(?: \w+)? (?:is|gets|goes|was) (?:\w+ )?(?:lost|missing|cut
    swallowed|dropped|gone)|breaks? off|drops? out|cuts? out|cut off|breaking up|falters?|hesitant|stumbl\w+|disrupted
discontinuity 0 1:
    falls? apart|more (?:gaps|holes|silence|gap) (?:\w+ ){0,2}?than (?:words|speech|voice|signal)(?! [AB]\b)
    (?:torn|tears?)\b.{0,25}\b(?:to|in) (?:pieces|shreds|bits)|shredded|in (?:tatters|shreds|fragments)
    (?:hardly|barely|scarcely) an? (?:word|sentence|syllable) (?:arrives|is|gets through|comes through)
    (?:almost|nearly) every (?:word|sentence|syllable) is (?:broken|cut|chopped|interrupted|lost)
discontinuity 0 1.5:
    (?:so much|much|most|half|large (?:parts|portions)) of the (?:speech|words|message|text|sentences?) (?:is
    are) (?:missing
    lost|cut|gone)
    (?:many|half(?: of)?|most(?: of)?)(?: the)? (?:words|syllables|sentences|speech) (?:are|is|get|gets|go
    goes) (?:\w+ )?(?:lost|missing|cut|swallowed|dropped|gone)
discontinuity 0 2:
    (?:whole |entire |long )*(?:words|syllables|sentences|sounds|pieces|parts|stretches|bits|chunks|portions
    fragments)(?: of (?:the )?(?:speech|words|sentences?|message))?(?: \w+)? (?:(?:are|were|is|keep|keeps|get|getting
    go|goes|get) (?:\w+ )?(?:lost|missing|cut|swallowed|dropped|gone)|vanish|disappear|fall away|drop out)
loudness 0 2.7:
    (?:too|overly|(?:excessive|uncomfortab|unpleasant|annoying|undu|unnecessari|disagreeab)ly) (?:quiet|loud|soft|faint
    low|high|weak)|over-?loud|not loud enough|(?:louder|quieter|softer|lower
    higher) than (?:it (?:should|ought|needs)|is comfortable|necessary|normal|usual|ideal|I'd like|I would like)
    (?:blares|blasts|shouts)(?= |$)
loudness 0 1.5:
    (?:much|far|way) too (?:quiet|loud|soft|faint|low|high|weak)|deafening
    (?:painful|unbearab|extreme|severe|terrib)ly (?:quiet|loud|soft|faint|low|high|weak)
loudness 0 1:
    whisper\w*|(?:barely|hardly|scarcely) hear (?:it|(?:the )?(?:talker|voice|speaker|words|speech))(?! (?:over|behind
    through|above|for|in))
loudness 0 2:
    hard to hear(?! (?:over|behind|through))
    reach(?:ed|es)? for the (?:dial|volume|knob)|strain(?:s|ed|ing)? to (?:hear|catch|follow)
    turn(?:ed)? (?:it|the (?:volume|level)) (?:way |all the way )?(?:up|down)|(?:re)?adjust (?:it|the (?:volume|level))
""")
"""Words that state a fault by themselves; a degree shades them."""

MERITS = _by_dimension(r"""
noisiness 2.7 4: clean(?:ly)?|noise-?free|noiseless
noisiness 3.2 4:
    not a (?:sound|thing|whisper|murmur) (?:is |can be |to be )?heard
    nothing (?:is |to be |can be )?(?:heard )?but the (?:voice|speech|talker|words)
    nothing (?:else )?(?:behind|beside) the voice|silent|silence|spotless|quietest (?:background|pauses)|dead quiet
    hear a pin drop|pristine
coloration 2 4: natural enough
coloration 2.9 4:
    natural(?:ly|-sounding)?(?: as in the room)?|as natural as|lifelike|authentic|true to life|faithful|full-bodied|rich
    warm|crisp|crystal[- ]clear|hi-fi|in the (?:same )?room with (?:me|us|you)|in the same room
coloration 3.2 4:
    sounds? as (?:it|they|he|she) (?:should|does|do)|undistorted|uncolou?red|unaltered|untouched|clear timbre
    could not sound more natural|nothing colou?rs
discontinuity 3 4:
    continuous(?:ly)?|uninterrupted|unbroken|seamless(?:ly)?|gapless
    (?:never|not once|nor|doesn't|does not|without) (?:once )?(?:is |being )?(?:skip|miss|drop|break|stumble|falter
    stall|cut|interrupt)(?:s|ed|ping|ing|ting)?(?: (?:a beat|out|off|up|a word|a syllable))?
    without (?:a |any )?(?:hitch|interruptions?|stumbling|break)|nothing (?:is |was |gets )?(?:lost|cut off|dropped|cut)
    (?:nothing|no word|no syllable|not (?:a|one)(?: single)? (?:word|syllable|sound|beat|thing))(?: of \w+)? (?:is |was
    goes |gets |has been )?(?:missing|drops? out|lost|dropped|missed|cut(?: off)?)(?! (?:entirely|completely))
    every (?:word|syllable) (?:arrives|is there|gets through|comes through)
    (?:voice|speech|sentence)s? (?:is|are) complete
discontinuity 2.8 4:
    fluent(?:ly)?|fluid(?:ly)?|smooth(?:ly)?|intact|steady flow|runs on
    no (?:part|bit|piece|portion|fragment) (?:of the \w+ )?(?:is|was|goes|has been) (?:missing|lost|cut|dropped)
    flows?(?: on)?(?= (?:freely|evenly|well|steadily|along|without))
loudness 2.4 4:
    (?:level|volume|loudness) (?:is|stays|remains) (?:\w+ )?(?:steady|stable|constant|even|consistent)
    (?:pleasantly|reasonably|perfectly|comfortably|sufficiently|nicely|properly) loud|loud enough
loudness 2.7 4:
    (?:needs?|requires?) no (?:adjust\w*|correction|change)
    well[- ]levell?ed|loud and clear|(?:easy|easily) (?:to hear|heard)|easily audible
    (?:well|nicely|properly)[- ](?:set|adjusted|chosen)
""")
"""Words that state the absence of a fault by themselves."""

NEGATIONS = any_of(r"""
    no|not|never|without|free (?:of|from)|lacks?|lacking|absence of|devoid of|neither|nor|none|nothing|cannot|zero
    (?:is|are|does|do|was|were|did|wo|ca|could|would|has|have|need)n't|far from|anything but|absent|clear of|less than
    rather than|instead of|(?:no|not an?|without an?|not the slightest|without the slightest|not even a
    not one) (?:sign|trace|hint|bit|touch|whiff|shred|suspicion|single)(?: of)?|not the (?:slightest|least)|spared
    no longer|any lack of|free(?! (?:of|from))|(?:cannot|could(?:n't| not)) (?:find|hear|detect|make out)
    by no means|in no way|no amount of|non-?existent|plays? no (?:\w+ )?(?:part|role)|nowhere to be (?:heard|found)
    (?:does|do)(?:n't| not) (?:play (?:a|any) (?:part|role)|exist|occur)
""")
NOT_NEGATIONS = any_of(r"""
    not only|no doubt|not least|no matter|nothing but|no less|nothing short of|not just|not merely|no more than
    not unlike|bad contact|left and right|what little|little by little|little else|(?:values|scores|MOS
    ratings) (?:are|is) level|bad connection|a good (?:part|bit|many|while|half)|good reason|good (?:sides?
    ones|points?)|(?:all|much|what) that is (?:good|right|fine|well)|on the (?:good|bright|bad) side
    (?:other|good) sides? hold up|fair (?:enough|share)|(?:little|nothing|not much) more than|on the (?:one|other) hand
    (?:little|no) (?:help|use|comfort|avail|consequence|surprise|wonder)|nothing more|own right|are (?:\w+ )?level
    level (?:at|on|with)|(?:stays?|remains?) level
    lack(?:s|ing)?(?= (?:\w+ ){0,4}?(?:bass|treble|highs|lows|low end|brightness|depth))
""")
"""Words that look like a negation or a grade and are none."""
LEFT_NEGATIONS = r"absent|none|nowhere.*|free(?! (?:of|from))|non-?existent|plays? no .*|do.* (?:play .*|exist|occur)"
"""Negations of what stands before them."""
VERB_NEGATIONS = r"not|never|\w+n't|cannot|by no means|in no way"
"""Negations of a verb or an adjective; a noun only right after them."""
NOUN_NEGATIONS = any_of(r"""
    no|without|free (?:of|from)|lacks?|lacking|absence of|devoid of|neither|nor|far from|anything but|clear of|spared
    rather than|instead of|nothing|.+ (?:find|hear|detect|make out)
""")
"""Negations that reach over "the" ("free of the noise")."""

OVERALL = any_of(r"""
    overall|mos|quality|impression|all in all|in sum|altogether|score[sd]?|rating|rated?|result|call it|experience
    in total|taken together|verdict|recording|clip|sample|call|opinion score|outcome
""")
LOSS = any_of(r"""
    los(?:es?|ing|t)|robs?|robbed|strips?|stripped|deprives?|deprived|costs?|gone|missing|destroy(?:s|ed)?|ruin(?:s|ed)?
    spoil(?:s|ed|t)?|wreck(?:s|ed)?|damag(?:es?|ed)|impair(?:s|ed)?|tak(?:es?|en)(?: away)?|took away|steals?|stolen
    (?:little|nothing|not much|hardly anything|less) (?:is |remains )?(?:left )?of|suffer(?:s|ed)?|harm(?:s|ed)?
    degrad(?:es?|ed)|compromis(?:es?|ed)
""")
"""What is done to a merit that is no longer there: "the voice has lost its natural tone"."""
VOICE = r"it|voice|speech|talker|speaker|caller|words|person|recording|signal"

OTHERS = any_of(r"""
    otherwise|(?:the )?rest|(?:every|any|no)thing (?:else|besides)|all else
    (?:the |all |in )+others?(?: respects?| ways| regards?)?
    (?:(?:the|all) )?other (?:dimensions|aspects|sides|respects|counts)
""")
"""What is said of these is said of no dimension by name."""

_GOOD = (
    r"(?:good|fine|excellent|perfect|flawless|faultless|clean|in (?:good )?order|in good shape|great|impeccable|well"
    r"|okay|all right|as it should be|unimpaired|outstanding|superb|spotless|beyond reproach|without fault|better)"
)
_REST = (
    r"(?:(?:the )?rest(?: of (?:it|th\w+ \w+))?|(?:every|all)(?:thing)? else(?: (?:about|in|of) (?:it|th\w+ \w+))?"
    r"|(?:all (?:the )?|every |each |the )other (?:dimension|aspect|respect|side|count)s?)"
)
_IS = r"(?:is|are|was|were|sounds?|remains?|stays?|seems?|looks?)(?: (?:\w+ly|all|quite|very|just|also))?"
_EVERYWHERE = (
    r"(?:throughout|in (?:every|all) (?:\w+ )?(?:respect|dimension|aspect|way|regard)s?|in everything|across the board"
    r"|on (?:all|every) (?:\w+ )?(?:count|dimension|front)s?|all (?:a)?round)"
)
WHOLE: tuple[tuple[str, str], ...] = (
    (any_of(rf"""
        flawless (?:clip|recording|sample|call)|no fault|no flaws?|nothing to (?:complain|criticise|criticize
        fault)(?: about)?|no complaints|(?:can't|cannot|could not|couldn't|don't|do not|didn't) (?:find|hear|detect|see
        notice) (?:a |any)(?:thing|faults?|flaws?) ?(?:wrong|amiss|to (?:complain|criticise|criticize))?|(?:nothing
        not a thing) (?:is )?wrong|studio-like|studio quality|all (?:four )?(?:dimensions|aspects) (?:hold up
        are {_GOOD})|every(?:thing| dimension) {_IS} {_GOOD}
        {_GOOD}(?: (?:or|to|and) {_GOOD})? {_EVERYWHERE}|{_GOOD} (?:clip |recording )?in every dimension
    """), "all"),
    (any_of(rf"""
        otherwise (?:(?:the \w+|it|this) )?(?:{_IS} )?(?:an? )?{_GOOD}|{_REST} (?:{_IS} {_GOOD}|holds? up)
        (?:the |its )(?:only|sole|single) (?:\w+ )?(?:flaw|fault|problem|defect|weakness|issue|impairment|blemish
        thing wrong)
        nothing (?:else|worse)(?=\W*$|[.,;])|the one thing that|that's all|beyond that i hear no
        no other (?:\w+ )?(?:fault|flaw|problem|defect|weakness|issue|impairment)s?
    """), "rest"),
)  # fmt: skip
"""Claims about all four dimensions, or about those that no other clause finds fault with."""
EXCEPT = (
    r"\b(?:apart from|aside from|otherwise|except|besides|beyond|other than|save for|barring|else|that aside"
    r"|(?<!the )(?<!each )other)\b"
)
"""Beside words for all dimensions: they speak of the rest."""

WORST = any_of(r"""
    (?:main|biggest|worst|chief|principal|dominant|primary|greatest|gravest|central|most (?:serious|severe|obvious
    disturbing|audible|prominent|damaging|noticeable|annoying))(?: \w+){0,2}? (?:problems?|faults?|weakness|weaknesses
    issues?|defects?|impairments?|degradation|culprit|complaint|flaws?|concern|trouble|offender|obstacle|reason)
    disturbs? more than|bothers? more than|worse than|worst (?:of (?:all|the four)|here)|(?:worst|poorest|weakest) (?:is
    dimension|aspect|part)|the worst|above all|dominates?|most of (?:all|the damage)|weighs (?:the )?most
    more than anything
    hurts? (?:it )?(?:the )?most|(?:weak|sore) (?:point|spot|side|link)|mainly|chiefly|primarily|weakest
    (?:the )?first thing to (?:fix|mend|repair)|needs (?:fixing|repair) first|number one|foremost|matters most
    the most(?=\W*$)|(?:what|that|which) (?:\w+ ){0,2}?(?:suffers|hurts|drags|holds|pulls|brings|lets|spoils|ruins
    disturbs
    limits|bothers) (?:\w+ ){0,3}?(?:most|down|back)|more than any(?:thing|thing else| other)?
    the culprit|what (?:ruins|spoils|kills|costs) (?:it|this|the (?:clip|recording|call|quality))
    lowest (?:rating|score|mark|rated|of)|(?:rated|scores?|is|does|fares|performs|ranks) (?:the )?(?:lowest|worst)
    nothing is (?:\w+ )?(?:lower|worse) than
""")
NOT_WORST = any_of(r"""
    secondary|least of (?:the|its) (?:problems|faults)|minor concern|lesser|matters little
    (?:comes?|ranks?) (?:after|second|last)|not the main
""")

LISTENER = any_of(r"""
    (?:one|an?|the|single|each|every|another|some|any|individual|this|the first|the second|the last|first|second
    third)(?: \w+){0,2}? (?:listener|rater|tester|subject|participant|voter|judge|person|assessor|juror
    panel(?:l)?ist|member|user|tester|vote|customer|caller|respondent|evaluator|colleague|friend|engineer|expert
    technician|operator|agent|student|volunteer|reviewer|critic|observer|grader|scorer|man|woman|girl|boy
    pair of ears)|(?:my|our|his|her) (?:\w+ )?(?:colleague|friend|wife|husband|brother|sister|son|daughter|boss
    neighbou?r|assistant|partner|mother|father|flatmate)|he|she|(?:one|each) of (?:the|our|my|your
    those) (?:\w+ )?(?:listeners|raters|testers|subjects|participants|voters|judges|users|customers|callers
    colleagues|engineers|experts|agents|students|reviewers|members|panel(?:l)?ists)|someone|somebody|(?:listener
    rater|subject|participant|voter|judge|vote)(?: number| no\.?)? ?(?:\d\b|one|two|three|four|five)
    individual (?:votes?|ratings?|scores?)|(?:listeners|raters|subjects|participants|judges|votes)(?: \w+)? each
    (?:my|his|her) (?:own |single )?vote|I voted|the only one|everybody|everyone|all (?:the )?(?:listeners|raters
    votes)|no (?:listener|rater)
""")
MEAN = r"averag\w*|mean\w*|mos|on the whole|panel|between them|together|combined"

UNITS = r"\s?(?:k?hz|db\w*|%|per ?cent|ms|milliseconds?|s\b|seconds?|kbit|kb|bits?|points?|times|votes?|dimensions" + (
    r"|listeners|raters|clips|°)"
)

CAUSE_WORDS: dict[str, str] = {
    "steady noise": r"hiss\w*",
    "hum": r"hums",
    "babble": any_of(r"""
        (?:other|several|many|background) (?:speakers|conversations)|people (?:\w+ ){0,4}?(?:talking|talk|chattering)
        crowd
        people's (?:voices|talk|chatter|conversations?)|chatting
    """),
    "clatter": r"(?:plates|cups|cutlery|pots and pans|silverware)",
    "machine noise": r"drones?|droning",
    "room noise": r"noise (?:from|of|in) (?:the|a) room",
    "crackle": r"crackl\w*",
    "clipping": r"clips(?= (?:badly|hard|strongly|severely|moderately|slightly|heavily))",
    "reverberation": r"reverb\w*",
    "noise suppression": r"noise[- ](?:suppress\w*|reduc(?:tion|er)|cancel\w*|removal|gat\w+)",
    "stutter": r"repeat(?:s|ing) itself|syllables (?:\w+ )?repeat(?:ed|ing)?",
    "coding": r"coded",
    "packet loss": any_of(r"""
        los(?:es?|ing) (?:\w+ ){0,2}?packets?|packets? (?:\w+ ){0,3}(?:lost|dropped|missing|gone|disappear\w*|vanish\w*)
        (?:drop(?:s|ped)?|lost) (?:\w+ ){0,2}?packets?|los(?:s|ses) of packets
    """),
    "pumping": any_of(r"""
        gain control|(?:level|volume) (?:keeps )?(?:changing|fluctuat\w*|jumping|wandering)|(?:level|volume
        gain) (?:pumps|is (?:\w+ )?(?:unsteady|unstable))
        pumps
    """),
    "grain": any_of(r"""
        noise that follows the (?:speech|voice|words)|signal-modulated noise
        noise that (?:\w+ ){0,3}with the (?:speech|voice|words)|rides? on the (?:speech|voice)
    """),
    "missing bass": any_of(r"""
        (?:lack|loss|absence) of (?:bass|lows|low frequencies|low end|depth)|low end (?:\w+ ){0,2}(?:thin|missing|weak)
        lacks? (?:a (?:bit|little|touch|shade) of |some |much |any |all )?(?:low end|bass|lows)
        low frequencies (?:are )?(?:\w+ )?(?:gone|missing|lost|absent)
    """),
    "missing treble": any_of(r"""
        (?:lack|loss|absence) of (?:treble|highs|high frequencies|brightness)
        lacks? (?:a (?:bit|little|touch|shade) of |some |much |any |all )?(?:highs|treble|brightness)
        highs are (?:missing|lost|cut)|high frequencies (?:are )?(?:\w+ )?(?:gone|missing|lost|absent)
    """),
}
"""More wordings of a kind of cause than its own pattern holds."""
EXEMPT: dict[str, str] = {
    "low level": r"low level of (?:background |ambient )?(?:noise|hiss|hum|distortion|interference)",
    "high level": r"high level of \w+",
    "telephone band": r"(?:tele)?phone (?:call|conversation|line|user|customer|connection)s?|on the (?:tele)?phone",
    "machine noise": r"answering machine",
    "hum": r"(?:machine|engine|motor|appliance|fridge)\w* (?:\w+ ){0,2}(?:hum|buzz)\w*",
    "steady noise": r"static (?:level|volume)",
    "reverberation": r"echo(?:es|ed)? (?:this|that|the)",
}
LABEL = r"excellent|good|fair|poor|bad"
VOICE_ONLY = any_of(r"""
    otherwise|(?:every|any|no)thing (?:else|besides)|rest|others?|dimensions|aspects|voice|talker|speaker|level|timbre
    words|person
""")

DIRECTION = {
    "low level": r"quiet|soft|faint|low|weak|feeble|inaudible|turn\w* .*up",
    "high level": r"\bloud|-loud|high|deafening|turn\w* .*down",
}
"""Which way a flaw of loudness goes."""

UNREAL = any_of(r"""
    would(?! (?:\w+ )?(?:say|call|rate|put|give|describe|rather|choose|prefer|take|place|judge|recommend|go|pick|not))
    (?:had|were) (?:the|it|there|this)\b|as (?:if|though)
    if (?:it|there|this) (?:were|was|had)|might have been|could have been
""")
"""What would be said if a fault were not there claims nothing."""

DENIED_LATER = (
    r" nothing|(?![^,;.]{0,12} not help)"
    r"[^,;.]{0,25}\b(?:no|not|never|none|nowhere|absent|isn't|aren't|wasn't|weren't|doesn't|nothing(?! else))\b"
)
"""After a cause: what is said of it may take it back ("room noise plays no part")."""
SOUGHT = any_of(r"""
    (?:look|listen|search|wait|ask|(?<!could )wish|hope|mistak\w+|mistook)(?:ing|ed|s)? (?:in vain )?for|expect\w*
    hard to find
    (?:would|do|does|can|could)(?:n't| not) (?:say|claim|think|mean)
    (?:suppress|denois|filter|cancel)\w* (?:\w+ ){0,4}?remov\w+|(?:is|was|are|were|been) removed
    remov(?:es?|ed|ing) (?:the |all |most )?(?:of the )?(?:\w+ )?(?:noise|hiss|hum|babble)
    what (?:\w+ ){1,3}(?:does(?:n't| not)|lacks)|whoever|used to be|should have been|no wonder|would like|if (?:any
    you|one|only|a|the
    there)\b|(?:hard|difficult|impossible) to (?:say|tell|find|imagine)|you(?:'d| would) think
    (?<!barely )(?<!hardly )(?<!scarcely )(?<!just )(?<!loud )enough to\b|wonder(?:ed|ing)? whether
""")
"""What is looked for, expected or taken away is not said to be there."""
FUNCTION_WORDS = any_of(r"""
    all but|the|an?|is|are|was|were|be|been|being|am|has|have|had|having|do|does|did|deserves?|real|true|can|could|may
    might|will|would|must|shall
    and|or|nor|as|than|then|though|nevertheless|nonetheless|however|therefore|hence|thus|because|due|owing|thanks|also
    still|too|so|such|once|again|now|here|there
    of|in|on|at|to|by|with|from|for|into|onto|past|about|behind|beneath|beside|over|under|underneath|through|throughout
    against|amid|among|around|along|near|away|out|up|together|apart|between|above|below|after|before|during
    this|that|these|those|it|its|it's|that's|there's|his|her|their|our|my|i|you|we|they|he|she|me|him|them|one|itself
    what|first|second|third|notices|all|both|each|any|no|not|every|some|more|less|most|almost|nearly|quite|rather|very
    just|only|even|else|alone
    (?!(?:hard|bare|scarce|rare)ly)\w+ly|somewhat|indeed|own|whatsoever
    sound(?:s|ed|ing)?|seem(?:s|ed)?|appears?|remain(?:s|ed)?|stay(?:s|ed)?|feels?|comes?|came|gets?|got|goes|keeps?
    kept|makes?|made|lies|sits?|runs?|stands?
    leads?|results?|poses?|presents?|occurs?|happens?|leaves?|gives?|raises?|brings?|adds?|added|shows?|needs?
    affects?|suffers?|covers?|covering|interrupts?|interrupted
    colou?rs?|flows?|cut|found|given|caused|called|considered|described|judged|rated|deemed|put|taken|accompan\w+
    narrowed|squeezed|restricted|confined|limited|fades|rises|falls|marred|overlaid|masked|hidden|mixed|lost|strained
    tired|heard|hears?|noticed|noticeable|present|audible|running
    voice|voices|speech|talker|speaker|caller|words?|syllables?|sentences?|recording|clip|sample|call|signal|background
    mos|overall|amount|kind|sort|way|side|whole|time|times|line|room|band|bandwidth|level|numbers?|parts?|rest|bit|touch
    thing|layers?|everything|flaws|change|loss|comfort|electrical|clear|hard|moderate|steady|point|effects?|strength
""")
"""Words that may stand between what is judged and what judges it."""
