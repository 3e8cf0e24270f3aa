"""The words of speech quality: which dimension they speak of, and which categories of the 1–5 scale they can mean.

An `Interval` is in categories, 0 (bad) to 4 (excellent), with fractions where a word is vague; `scale.SLACK`
comes on top. Every table maps a regular expression (whole words, case ignored) to what it says. Order does not matter:
where two entries meet, the longer match holds.
"""

from __future__ import annotations

from training.language.degree_words import Interval

TOPICS: dict[str, str] = {
    "noisiness": r"background|pauses|SNR|signal-to-noise(?: ratio)?",
    "coloration": r"timbre|tone|naturalness|tonal (?:balance|quality)|sound of the voice|voice quality|voice colou?r",
    "discontinuity": r"(?:speech )?flow|continuity|flow of (?:the )?(?:speech|words)",
    "loudness": r"levels?|volume|loudness|(?:output|speech|playback) level",
}
"""What is spoken of, without judging it."""

FAULTS: dict[str, str] = {
    "noisiness": (
        r"(?:background |ambient )?nois(?:es?|iness)(?: (?:floor|level))?|interference|background sounds?|"
        r"racket|din|rumble"
    ),
    "coloration": r"(?:harmonic )?distortions?|colou?ration|colou?ring|art[ei]facts?|harshness|unnaturalness",
    "discontinuity": r"gaps?|drop-?outs?|(?:signal )?breaks?|interruptions?|discontinuit(?:y|ies)|break-?ups?|"
    r"cut-?outs?"
    r"|holes?|disruptions?|stutters|stuttering|hitches|hiccups|lost (?:words|syllables|pieces|"
    r"frames)|missing (?:words|syllables|pieces|frames)|packets?",
    "loudness": r"faintness|quietness|(?:level|volume|loudness) (?:problems?|issues?)",
}
"""Nouns whose amount is the fault: judged by a degree ("slight", "no")."""

FLAWS: dict[str, tuple[tuple[str, Interval], ...]] = {
    "noisiness": ((r"noisy", (0, 2.1)), (
        r"more (?:noise|hiss|hum|crackle) (?:\w+ ){0,2}?than (?:words|speech|voice|signal)(?! [AB]\b)|"
        r"drown\w*|swamp(?:s|ed)|engulf\w*", (0, 1))),
    "coloration": (
        ((
r"(?:spoil|rob|ruin|tak|steal|destroy|wreck|damag)\w* (?:\w+ )?(?:the |of |of its |"
r"its )?natural\w*"
), (0, 2.5)),
        ((
r"natural(?:ness)? (?:tone |sound |timbre |character )?(?:\w+ ){0,2}?(?:is|was|gets?|"
r"has been) (?:\w+ )?(?:lost|missing|spoil\w*|gone|destroyed|damaged|ruined)|los(?:es|ing|"
r"t) (?:some|much|most|a little|a bit|part) of (?:its|the) natural\w*|distort(?:s|ed)|"
r"colou?red|altered|changed|changes? of (?:timbre|tone)|discolou?red"
), (0, 3)),
        ((
r"unnatural\w*|robotic|metallic|artificial|synthetic|hollow|boxy|harsh|garbled|mangled|nasal|"
r"raspy|robots?|tin can|under ?water|shrill|screechy|lifeless|scratchy|gritty|"
r"through a (?:blanket|pillow|wall|sock|bucket|tube|pipe)|hardly resembles?|barely resembles?"
), (0, 2.2)),
        (r"less natural|less than natural|not (?:quite|entirely|fully|completely) natural", (0.5, 3.2)),
        (r"mutilat\w*|butcher\w*|massacr\w*|disfigur\w*|ravag\w*", (0, 1.4)),
        (r"thin(?:ner)?|tinny|dull|muffled", (0, 3.3)),
        ((
r"wreck\w*|(?:hardly|barely|scarcely) (?:an? (?:\w+ )?natural|anything (?:\w+ )?(?:natural|human)|"
r"(?:sounds? )?(?:natural|human))|beyond recognition|unrecogni[sz]able"
), (0, 0.6)),
    ),
    "discontinuity": (
        (r"choppy|chopped|halting|discontinuous|disjointed|fragmented|patchy|jerky|jumpy", (0, 2)),
        (
            r"interrupt(?:s|ed)|broken|(?:cutting|dropping|breaking|fading) (?:out|off|in and out)|(?:comes|"
            r"goes|fades|drops|cuts) in and out|skips(?! a beat)|stop-and-go|staccato|(?:a|some|the odd|"
            r"another) (?:word|syllable|sound)(?: \w+)? (?:is|gets|goes|was) (?:\w+ )?(?:lost|missing|cut|"
            r"swallowed|dropped|gone)|breaks? off|drops? out|cuts? out|breaking up|falters?|hesitant|"
            r"stumbl\w+", (0, 3)),
        ((
r"falls? apart|more (?:gaps|holes|silence|gap) (?:\w+ ){0,2}?than (?:words|speech|voice|"
r"signal)(?! [AB]\b)|(?:torn|tears?)\b.{0,25}\b(?:to|in) (?:pieces|shreds|bits)|shredded|"
r"in (?:tatters|shreds|fragments)"
), (0, 1)),
        ((
r"(?:whole |entire |long )*(?:words|syllables|sentences|sounds|pieces|parts|stretches|bits|"
r"chunks|portions|fragments)(?: of (?:the )?(?:speech|words|sentences?|"
r"message))?(?: \w+)? (?:(?:are|were|is|keep|keeps|get|getting|"
r"go|goes|get) (?:\w+ )?(?:lost|missing|cut|swallowed|dropped|gone)|vanish|disappear|"
r"fall away|drop out)"
), (0, 2)),
    ),
    "loudness": (
        (
            r"(?:too|overly|excessively) (?:quiet|loud|soft|faint|low|high|weak)|over-?loud|not loud enough|"
            r"hard to hear(?! (?:over|behind|through))|(?:louder|quieter|softer|lower|"
            r"higher) than (?:it (?:should|ought|needs)|is comfortable|necessary|normal|usual|ideal|I'd like|"
            r"I would like)|(?:blares|blasts|shouts)(?= |$)", (0, 2.9)),
        (r"(?:much|far|way) too (?:quiet|loud|soft|faint|low|high|weak)|deafening", (0, 1.5)),
        ((
r"whisper\w*|(?:barely|hardly|scarcely) hear the (?:talker|voice|speaker|words|"
r"speech)(?! (?:over|behind|through|above|for|in))"
), (0, 1)),
        ((
r"reach(?:ed|es)? for the (?:dial|volume|knob)|strain(?:s|ed|ing)? to (?:hear|catch|follow)|"
r"turn(?:ed)? (?:it|the volume) (?:all the way )?(?:up|down)"
), (0, 2)),
    ),
}  # fmt: skip
"""Words that state a fault by themselves; a degree shades them."""

MERITS: dict[str, tuple[tuple[str, Interval], ...]] = {
    "noisiness": ((r"clean(?:ly)?|noise-?free|noiseless", (2.7, 4)), ((
r"not a (?:sound|thing|whisper|murmur) (?:is |can be |to be )?heard|nothing (?:is heard |"
r"to be heard |can be heard )?but the (?:voice|speech|talker|words)|"
r"nothing (?:else )?(?:behind|beside) the voice|silent|silence|spotless|quietest (?:background|"
r"pauses)|dead quiet|hear a pin drop|pristine"
), (3.2, 4))),
    "coloration": (
        (r"natural enough", (2, 4)),
        ((
r"natural(?:ly|-sounding)?(?: as in the room)?|as natural as|lifelike|authentic|true to life|"
r"faithful|full-bodied|rich|warm|crisp|crystal[- ]clear|hi-fi|in the same room"
), (2.9, 4)),
        ((
r"sounds? as (?:it|they|he|she) (?:should|does|do)|undistorted|uncolou?red|unaltered|"
r"untouched|clear timbre|could not sound more natural"
), (3.2, 4)),
    ),
    "discontinuity": (
        (
            r"continuous(?:ly)?|uninterrupted|unbroken|seamless(?:ly)?|gapless|(?:never|not once|nor|doesn't|"
            r"does not|without) (?:once )?(?:skip|miss|drop|stop|break|stumble|falter|stall|paus|cut|"
            r"interrupt)(?:s|ed|ping|ping|ing|ting)?(?: (?:a beat|out|off|up|a word|a syllable))?|"
            r"without (?:a )?(?:hitch|interruptions?|stumbling)|nothing (?:is |was |gets )?(?:lost|cut off|"
            r"dropped)|without a break|(?:nothing|"
r"no word|no syllable|not a (?:single )?(?:word|syllable|sound|beat|"
r"thing))(?: of \w+)? (?:is |was |goes |gets |has been )?(?:missing|drops? out|lost|dropped|"
r"missed)(?! (?:entirely|completely))|"
         r"every (?:word|syllable) (?:arrives|is there|gets through|comes through)|(?:voice|speech|"
r"sentence)s? (?:is|are) complete", (3, 4)),
        ((
r"fluent(?:ly)?|fluid(?:ly)?|smooth(?:ly)?|intact|steady flow|runs on|no (?:part|bit|piece|"
r"portion|fragment) (?:of the \w+ )?(?:is|was|goes|has been) (?:missing|lost|cut|dropped)|"
r"flows?(?: on)?(?= (?:freely|evenly|well|steadily|along|without))"
), (2.8, 4)),
    ),
    "loudness": (
        (
            r"(?:level|volume|loudness) (?:is|stays|remains) (?:\w+ )?(?:steady|stable|constant|even|"
            r"consistent)|(?:pleasantly|reasonably|perfectly|comfortably|sufficiently|nicely|properly) loud|"
            r"loud enough", (2.4, 4)),
        ((
r"well[- ]levelled|well[- ]leveled|loud and clear|(?:easy|easily) (?:to hear|heard)|"
r"easily audible|(?:well|nicely|properly) (?:set|adjusted|chosen)|well-(?:set|adjusted|chosen)|"
r"no need to (?:touch|adjust|reach|turn)"
), (2.7, 4)),
    ),
}  # fmt: skip
"""Words that state the absence of a fault by themselves."""

NEGATIONS = (
    r"no|not|never|without|free (?:of|from)|lacks?|lacking|absence of|devoid of|neither|nor|none|"
    r"nothing|cannot|zero|isn't|aren't|"
    r"doesn't|don't|wasn't|didn't|won't|can't|far from|anything but|absent|clear of|less than|"
    r"rather than|instead of|(?:no|not an?|without an?|not the slightest|without the slightest|"
    r"not even a|not one) (?:sign|trace|hint|bit|touch|whiff|shred|suspicion|single)(?: of)?|"
    r"not the (?:slightest|least)|spared|no longer|any lack of|free(?! (?:of|from))|cannot (?:find|hear|detect)"
)
NOT_NEGATIONS = (
    r"not only|no doubt|not least|no matter|nothing but|no less|nothing short of|not just|"
    r"not merely|no more than|not unlike|bad contact|left and right|what little|little by little|"
    r"little else|(?:values|scores|MOS|ratings) (?:are|"
    r"is) level|bad connection|a good (?:part|deal|bit|many|while|half)|good reason|"
    r"good (?:sides?|ones|points?)|(?:all|much|what) that is (?:good|right|fine|well)|"
    r"on the (?:good|bright|bad) side|(?:other|good) sides? hold up|fair (?:enough|share)"
)

OVERALL = (
    r"overall|mos|quality|impression|all in all|in sum|altogether|score[sd]?|rating|rated?|result|"
    r"call it|experience|in total|"
    r"taken together|verdict|recording|clip|sample|call|opinion score"
)
VOICE = r"it|voice|speech|talker|speaker|caller|words|person|recording|signal"

OTHERS = (
    r"(?:the )?rest|(?:every|any|no)thing (?:else|besides)|all else|(?:the |all |"
    r"in )+others?(?: respects?| ways| regards?)?|"
    r"(?:(?:the|all) )?other (?:dimensions|aspects|sides|respects|counts)"
)
"""What is said of these is said of no dimension by name."""

WHOLE: tuple[tuple[str, str], ...] = (
    (r"flawless (?:clip|recording|sample|call)|no fault|no flaws?|nothing to (?:complain|criticise|"
r"criticize|fault)(?: about)?|"
     r"no complaints|(?:can't|cannot|could not|couldn't|don't|do not|didn't) (?:find|hear|detect|see|"
     r"notice) (?:a |any)(?:thing|faults?|flaws?) ?(?:wrong|amiss|to (?:complain|criticise|"
     r"criticize))?|(?:nothing|not a thing) (?:is )?wrong|studio-like|studio quality|"
r"all (?:four )?(?:dimensions|aspects) (?:hold up|are (?:good|excellent|fine|high))|"
     r"every(?:thing| dimension) (?:is|are) (?:fine|good|excellent|perfect|in order|flawless)", "all"),
    (r"otherwise (?:perfect|fine|clean|good|flawless|excellent)|the rest (?:is|sounds) (?:fine|"
r"good|in order|perfect|excellent|clean)|"
     r"(?:the |its )(?:only|sole|single) (?:\w+ )?(?:flaw|fault|problem|defect|weakness|issue|"
r"impairment|blemish)|nothing (?:else|worse)(?=\W*$|[.,;])|"
     r"the one thing that|everything else (?:is|sounds) (?:fine|good|in order|perfect|excellent|"
r"clean)|that's all|beyond that i hear no", "rest"),
)  # fmt: skip
"""Claims about all four dimensions, or about those that no other clause finds fault with."""

WORST = (
    r"(?:main|biggest|worst|chief|principal|dominant|primary|greatest|gravest|central|"
    r"most (?:serious|severe|obvious|disturbing|audible|prominent|damaging))"
    r"(?: \w+){0,2}? (?:problems?|faults?|weakness|weaknesses|issues?|defects?|impairments?|"
    r"culprit|complaint|flaws?|concern|trouble|offender|obstacle)"
    r"|disturbs? more than|bothers? more than|worse than|worst of all|worst (?:is|dimension|"
    r"aspect)|the worst|above all|dominates?|"
    r"most of all|weighs (?:the )?most|more than anything|hurts? (?:it )?(?:the )?most|(?:weak|"
    r"sore) (?:point|spot|side|link)|mainly|chiefly|primarily|weakest|"
    r"(?:the )?first thing to (?:fix|mend|repair)|needs (?:fixing|repair) first|number one|"
    r"foremost|matters most|hurts most|the most|(?:what|that|which) (?:\w+ ){0,2}?(?:suffers|hurts|"
    r"drags|holds|pulls|brings|lets|spoils|ruins) (?:\w+ ){0,3}?(?:most|down|back)|"
    r"more than any(?:thing|thing else| other)?|"
    r"the culprit|what (?:ruins|spoils|kills|costs) (?:it|this|the (?:clip|recording|call|quality))"
)
NOT_WORST = (
    r"secondary|least of (?:the|its) (?:problems|faults)|minor concern|lesser|matters little|"
    r"(?:comes?|ranks?) (?:after|second|last)|not the main"
)

LISTENER = (
    r"(?:one|a|the|single|each|every|another|some|any|individual|this|the first|the second|the last|first|second|third)"
    r"(?: \w+){0,2}? (?:listener|rater|tester|subject|participant|voter|judge|person|assessor|juror|"
    r"panel(?:l)?ist|member|user|tester|vote|customer|caller|respondent|evaluator|"
    r"colleague|friend|engineer|expert|technician|operator|agent|student|volunteer|reviewer|"
    r"critic|observer|grader|scorer|man|woman|girl|boy|pair of ears)"
    r"|(?:my|our|his|her) (?:\w+ )?(?:colleague|friend|wife|husband|brother|sister|son|daughter|"
    r"boss|neighbou?r|assistant|partner|mother|father|flatmate)|he|she"
    r"|one of (?:the|our|my|your|those) (?:\w+ )?(?:listeners|raters|testers|subjects|participants|"
    r"voters|judges|users|customers|callers|colleagues|engineers|experts|agents|students|reviewers|"
    r"members|panel(?:l)?ists)"
    r"|someone|somebody|(?:listener|rater|subject|participant|voter|judge|vote)(?: number|"
    r" no\.?)? ?(?:\d\b|one|two|three|four|five)|individual (?:votes?|ratings?|scores?)"
    r"|(?:listeners|raters|subjects|participants|judges|votes)(?: \w+)? each|everybody|everyone|"
    r"all (?:the )?(?:listeners|raters|votes)|no (?:listener|rater)"
)
MEAN = r"averag\w*|mean\w*|mos|on the whole|panel|between them|together|combined"

UNITS = (
    r"\s?(?:k?hz|db\w*|%|per ?cent|ms|milliseconds?|s\b|seconds?|kbit|kb|bits?|points?|times|"
    r"votes?|dimensions|listeners|raters|clips|°)"
)

CAUSE_WORDS: dict[str, str] = {
    "packet loss": r"los(?:es?|ing) (?:\w+ ){0,2}?packets?|packets? (?:\w+ ){0,3}(?:lost|dropped|missing|gone|"
    r"disappear\w*|vanish\w*)",
    "clipping": r"overload\w*|overmodulat\w*",
    "babble": r"(?:other|several|many) (?:speakers|conversations)|people (?:are )?talking|crowd",
    "pumping": (
        r"gain control|(?:level|volume) (?:keeps )?(?:changing|fluctuat\w*|jumping|wandering)|"
        r"(?:level|volume) pumps"
    ),
    "grain": (
        r"noise that follows the (?:speech|voice|words)|signal-modulated noise|"
        r"noise that (?:\w+ ){0,3}with the (?:speech|voice|words)|rides? on the (?:speech|voice)"
    ),
    "missing bass": (
        r"(?:lack|loss|absence) of (?:bass|lows|low frequencies|low end|depth)|"
        r"low end (?:\w+ ){0,2}(?:thin|missing|weak)|lacks? (?:a (?:bit|little|touch|shade) of |some |"
        r"much |any |all )?(?:low end|bass|lows)"
    ),
    "missing treble": (
        r"(?:lack|loss|absence) of (?:treble|highs|high frequencies|brightness)|lacks? (?:a (?:bit|"
        r"little|touch|shade) of |some |much |any |all )?(?:highs|"
        r"treble|brightness)|highs are (?:missing|lost|cut)"
    ),
}
"""More wordings of a kind of cause than its own pattern holds."""
EXEMPT: dict[str, str] = {
    "low level": r"low level of (?:background |ambient )?(?:noise|hiss|hum|distortion|interference)",
    "high level": r"high level of \w+",
    "telephone band": r"(?:tele)?phone (?:call|conversation|line|user|customer|connection)s?|on the (?:tele)?phone",
    "machine noise": r"answering machine",
    "steady noise": r"static (?:level|volume)",
    "reverberation": r"echo(?:es|ed)? (?:this|that|the)",
}
LABEL = r"excellent|good|fair|poor|bad"
VOICE_ONLY = (
    r"(?:every|any|no)thing (?:else|besides)|rest|others?|dimensions|aspects|voice|talker|speaker|"
    r"level|timbre|words|person"
)
LEFT_NEGATIONS = r"absent|none|nowhere|free(?! (?:of|from))"

DIRECTION = {
    "low level": r"quiet|soft|faint|low|weak|feeble|inaudible|turn\w* .*up",
    "high level": r"\bloud|-loud|high|deafening|turn\w* .*down",
}
"""Which way a flaw of loudness goes."""

UNREAL = (
    r"would (?:have|be|sound|pass|deserve|otherwise|still)|had (?:the|it|there|this)\b|"
    r"as (?:if|though)|if (?:it|there|this) (?:were|was|had)|were it not|if not for|but for the|"
    r"might have been|could have been"
)
"""What would be said if a fault were not there claims nothing."""
VERB_NEGATIONS = r"not|never|isn't|aren't|doesn't|don't|wasn't|didn't|won't|can't|cannot"
"""Negations of a verb or an adjective; a noun only right after them."""
NOUN_NEGATIONS = (
    r"no|without|free (?:of|from)|lacks?|lacking|absence of|devoid of|neither|nor|far from|"
    r"anything but|clear of|spared|rather than|instead of"
)
"""Negations that reach over "the" ("free of the noise")."""

DENIED_LATER = (
    r"[^,;.]{0,25}\b(?:no|not|never|none|nowhere|absent|isn't|aren't|wasn't|weren't|doesn't|nothing(?! else))\b"
)
"""After a cause: what is said of it may take it back ("room noise plays no part")."""
SOUGHT = (
    r"(?:look|listen|search|wait|ask|(?<!could )wish|hope|mistak\w+|mistook)(?:ing|ed|s)? for|expect\w*|hard to find|"
    r"remov(?:es?|ed|ing)|whoever|used to be|should have been|no wonder|would like|if (?:any|you|one|"
    r"only|a|the|there)\b|"
    r"(?:hard|difficult|impossible) to (?:say|tell|find|imagine)|you(?:'d| would) think|"
    r"(?<!barely )(?<!hardly )(?<!scarcely )(?<!just )enough to\b|wonder(?:ed|ing)? whether"
)
"""What is looked for, expected or taken away is not said to be there."""
FUNCTION_WORDS = (
    r"the|an?|is|are|was|were|be|been|being|am|this|that|these|those|of|in|on|at|to|and|or|nor|by|"
    r"with|from|for|as|it|its|it's|"
    r"that's|there's|his|her|their|our|my|there|has|have|had|having|does?|did|very|quite|only|just|"
    r"even|also|still|too|so|"
    r"sounds?|sounding|seems?|remains?|stays?|feels?|comes?|gets?|goes|keeps?|makes?|can|could|may|"
    r"might|will|would|must|one|"
    r"i|you|we|they|he|she|what|all|both|each|any|no|not|behind|over|under|through|throughout|almost|"
    r"nearly|somewhat|rather|"
    r"fairly|really|clearly|plainly|audible|audibly|heard|hears?|noticed|noticeable|present|here|"
    r"though|then|now|overall|mos|voice|"
    r"speech|talker|speaker|caller|words?|recording|clip|sample|call|signal|background|more|less|"
    r"most|than|amount|some|kind|"
    r"level|room|band|affects?|me|him|them|side|whole|time|line|such|moderately|steady|"
    r"together|moderate|in|way|sort|bit|touch|thing|covers?|covering|lies|sits?|runs?|overlaid|"
    r"marred|accompanied|interrupts?|"
    r"because|due|owing|found|numbers?|given|against|clear|needs?|shows?|suffers?|cut|masked|hidden|"
    r"found|gives?|raises?|flaws|flows?|"
    r"change|hard|electrical|away|from|loss|comfort|strained|lost|tired|sentences|amid|among|among|"
    r"mixed|adds?|added|brings?|"
    r"interrupted|once|again|layers?|everything|constantly|parts?|times|rest"
)
"""Words that may stand between what is judged and what judges it."""
