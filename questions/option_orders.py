"""In which orders the options of a question are shown, and which of them may move.

An option that speaks of others loses its meaning when these move: "All of the above", "Both A and B". Wrongly kept in
place costs orders, wrongly moved costs the key, so what is in doubt stays.
"""
import math
import re
import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache
from string import ascii_uppercase

from basics.strict_json import sha256_of
from questions.question import Question


@dataclass(frozen=True, slots=True)  # slots: there are several per question, all in memory
class Unit:
    """One thought about a question in one order of its options.

    permutation: number of the order, 0 for the order as given. option_order: (options,) indices into the options of
    the question, in the order shown. thought: number of the thought, >= 0; its randomness is its own.
    """

    question: Question
    permutation: int
    option_order: tuple[int, ...]
    thought: int = 0

    @property
    def key(self) -> tuple[str, int, int]:
        """(question_id, permutation, thought): names the unit in a journal."""
        return self.question.question_id, self.permutation, self.thought

    @property
    def options(self) -> tuple[str, ...]:
        """The options as shown."""
        return tuple(self.question.options[option] for option in self.option_order)

    @property
    def correct_option(self) -> int:
        """Index into the options as shown."""
        return self.option_order.index(self.question.correct_option)


def permuted(question: Question, permutation: int, seed: int) -> Unit:
    """The question with its options in order number `permutation` (>= 0); number 0 is the order as given.

    Options that stand for all others ("All of the above", "Both ...") keep their place. A question has only the order
    as given if an option cites others by number or letter, if an option "... above" stands between others, or if its
    text lists its options. The orders of a question are drawn without replacement: they differ until each was used,
    then the same sequence begins again.
    """
    movable = _movable_options(question)
    rank = _rank_of_order(question.question_id, permutation, math.factorial(len(movable)), seed)
    order = list(range(len(question.options)))
    for position, option in zip(movable, _order_of_rank(movable, rank), strict=True):
        order[position] = option
    return Unit(question, permutation, _one_object(tuple(order)))


@cache
def _one_object(order: tuple[int, ...]) -> tuple[int, ...]:
    """Units with equal orders share one object: a run has many units and few orders."""
    return order


def _rank_of_order(question_id: str, permutation: int, n_orders: int, seed: int) -> int:
    """Rank of an order in 0 ... n_orders - 1: a Fisher-Yates shuffle of the ranks, kept only where it was touched.

    Step k needs nothing but the steps before it, so an order does not depend on how many are asked for.
    """
    permutation %= n_orders
    touched = {}
    for step in range(1, permutation + 1):
        other = step + _draw(seed, question_id, step) % (n_orders - step)
        touched[step], touched[other] = touched.get(other, other), touched.get(step, step)
    return touched.get(permutation, permutation)


@lru_cache(maxsize=1024)  # every order of a question needs the draws of those before it
def _draw(seed: int, question_id: str, step: int) -> int:
    """256 bits: a modulo leaves no bias that matters."""
    return int(sha256_of([seed, question_id, step]), 16)


def _order_of_rank(items: list[int], rank: int) -> list[int]:
    """The items in the order of this rank among all their orders; rank 0 is the order as given."""
    left, order = list(items), []
    while left:
        index, rank = divmod(rank, math.factorial(len(left) - 1))
        order.append(left.pop(index))
    return order


# --- Which options may move ----------------------------------------------------------------------------------------


@lru_cache(maxsize=1024)  # all orders of a question are asked for one after the other
def _movable_options(question: Question) -> list[int]:
    options = [_plain(option) for option in question.options]
    is_fixed = any(_cites_options(option, len(options)) for option in options) or _lists_options(question)
    if is_fixed:
        return []
    movable = [index for index, option in enumerate(options) if not _stands_for_others(option)]
    above = [index for index, option in enumerate(options) if _stands_for_those_above(option)]
    return [] if above and movable and movable[-1] > above[0] else movable


_CIRCLED = str.maketrans("①②③④⑤", "ABCDE")


def _plain(text: str) -> str:
    """The text with full-width characters as plain ones, circled numbers as letters, and single blanks."""
    return " ".join(unicodedata.normalize("NFKC", text.translate(_CIRCLED)).split())


_QUANTITIES = "all|none|any|some|most|each|one|two|three|more|many|several|both|either|neither|nothing|everything"
_NOUNS = "options|choices|answers|alternatives|responses|possibilities|selections"
_STANDS_FOR_OTHERS = re.compile(
    rf"""
    ^\W*(both|neither|either)\b
    | ^\W*(all|none|any|everything|nothing)\W*$
    | ^\W*({_QUANTITIES})\ of\ (these|those|them|the\ others?|the\ rest|the\ two)\W*$
    | ^\W*(all|none)\ (of\ (them|these|the\ others)\ )?(is|are|apply|applies)\b(\ equally)?
      (\ (correct|incorrect|true|false|right|wrong|valid|invalid|possible|acceptable)\b|\W*$)
    | ^\W*(all|none|not\ all|nothing|everything)\ (correct|incorrect|true|false|right|wrong|valid)\W*$
    | ^\W*(all|none)\ of\ (the\ )?statements(\ (is|are)\ \w+)?\W*$ | ^\W*all\ statements\ are\ \w+\W*$
    | ^\W*no\ (correct\ |other\ |right\ )?(option|choice|answer|alternative)s?(\ (is|are)\ \w+)?\W*$
    | ^\W*((the\ )?same\ )?as\ (the\ )?(above|others?)\W*$ | ^\W*(the\ above|something\ else|others?)\W*$
    | \b({_QUANTITIES})\ (or\ more\ |than\ one\ )?(of\ )?(the\ )?
      (above\b
      | (aforementioned|previous|preceding|listed|mentioned|given)\W*$
      | ((these|those|its|other|given|listed|above|previous|preceding|following)\ )*({_NOUNS})\b)
    """,
    re.IGNORECASE | re.VERBOSE,
)
# The same in other languages, at the beginning of an option, as these sets spell it.
_ELSEWHERE = re.compile(
    r"""
    ^\W*(
    (alle|keine)\ (der\ |dieser\ )?(oben|antworten|genannten|vorgenannten|aussagen|optionen|möglichkeiten)
    | (alle|geen)\ (van\ )?(de\ |deze\ )?(bovenstaande|antwoorden|opties)
    | (toutes|tous|aucune?)\ (de\ |des\ |d')?(les\ |ces\ )?
      (réponse|option|proposition|choix|précédent|ci-dessus)
    | (tout|rien\ de|aucun\ de)\ ce\ qui\ précède | toutes\ ces | tous\ ces | les\ (deux|trois)\W*$
    | (todas|todos|ningun[oa]|nenhum[oa]?|ambas|ambos)\b(\ (de|das|dos|as|os|las|los)\b)*
      (\W*$|\ (anterior|alternativa|opç|opcion|respuesta|resposta|acima|son|são|estão|correct))
    | (tutt[ei]|nessun[oa]|entramb[ei])\b(\ (le|i|delle|dei|di))*(\W*$|\ (precedent|rispost|opzion|alternativ|queste))
    | (все|всё|ничего|ничто|ни\ од\w+|оба|обе|никак\w+)\b.*
      (перечислен|указан|выше|ответ|вариант|верн|правильн|из\ них)
    | (оба|обе|ничего|все)\W*$ | (wszystki[ea]|żadn[ea])\b.*(powyższ|odpowied)
    | hepsi\b | hiçbiri\b | yukarıda | tất\ cả(\ (các|những))?\ (đáp|câu|phương|đều|trên)
    | không\ (có\ )?(đáp|câu|phương) | semua\ (benar|jawaban|di\ atas)
    | (alla|ingen|inga)\ (av\ )?(ovanstående|de\ ovan|alternativ) | (alle|ingen)\ (av\ |af\ )?(de\ )?ovenstående
    | όλα\ τα | κανένα\ από | (جميع|كل|لا\ شيء|ليس\ أي|هیچ|همه)\b | उपरोक्त | इनमें\ से | כל\ התשובות | אף\ (תשובה|אחת)
    )
    | [以如]上(都|皆|均|全|所|各|两|兩|選|选|三|四|说|說|答|选) | 上述
    | ^(全部|都|均|皆|全)(是|对|對|正确|正確|不|错|錯|选|選)?\W*$
    | (答案|选项|選項|说法|說法)(都|均|皆|全) | 上記 | ^(いずれも|どれも|すべて|全て|両方)
    | 위의\ ?(모|모두|보기|어느) | ^(모두(\ ?(맞|정답|옳|해당).*)?\W*$|없음|정답\ ?없음|해당\ ?없음|둘\ 다)
    """,
    re.IGNORECASE | re.VERBOSE,
)
_ABOVE = re.compile(
    r"\b(above|aforementioned|previous|preceding)\b|oben|vorgenannt|bovenstaande|précéd|ci-dessus|anterior|acima|precedent"
    r"|выше|powyższ|yukarıda|di atas|trên|ovan|παραπάνω|ما سبق|उपरोक्त|以上|上述|如上|上記|위의",
    re.IGNORECASE,
)


def _stands_for_others(option: str) -> bool:
    return _STANDS_FOR_OTHERS.search(option) is not None or _ELSEWHERE.search(option) is not None


def stands_for_others(option: str) -> bool:
    """Whether an option speaks of the others, such as "All of the above", and so keeps its place."""
    return _stands_for_others(_plain(option))


def _stands_for_those_above(option: str) -> bool:
    return _stands_for_others(option) and _ABOVE.search(option) is not None


# --- Options that cite others by letter or number ------------------------------------------------------------------

# A small letter counts only in brackets: "an option a user can take" names none.
_NAMED_OPTION = re.compile(
    r"(?i:\b(?:option|choice|answer)s?)[\s(\"']+(\d{1,2}|[A-Z]|[a-z](?=\))|one|two|three|four|five)\b"
)
_OPTION_BY_PLACE = re.compile(
    r"\b(first|second|third|fourth|fifth|last|previous|preceding|following|next)( two| three| four)?"
    r" (option|choice|answer|alternative)s?\b",
    re.IGNORECASE,
)
_NUMBER_WORDS = ("ONE", "TWO", "THREE", "FOUR", "FIVE")
# An option made of nothing but references and these words is about the options referred to: "A and C are correct".
_ABOUT_OPTIONS = re.compile(
    r"and|or|nor|&|\+|/|both|either|neither|only|just|all|none|any|every|everything|of|the|above|except|but|for|not|is|are"
    r"|correct|incorrect|true|false|right|wrong|valid|invalid|together|alone|apply|applies|holds?|combined|same|as|see"
    r"|plus|combination|options?|choices?|answers?|statements?",
    re.IGNORECASE,
)
# The letters and numbers that options go by, in the scripts that have their own. None is both a letter and a word here.
_ALPHABETS = (
    ascii_uppercase, "АБВГДЕ", "ΑΒΓΔΕ", "甲乙丙丁戊", "アイウエオ", _plain("ㄱㄴㄷㄹㅁ"),
    "가나다라마", "أبجده", "אבגדה", "कखगघङ",
)  # fmt: skip
_AND = (
    r"(?:\s+(?:and|or|nor|und|oder|et|ou|y|o|e|ed|и|или|та|i|oraz|lub|en|of|och|eller|og|ve|veya|dan|atau|và|hoặc|και|ή"
    r"|و|أو|और|या|או|als auch|noch|ni|ne|plus|but|through|to|with|및)\s+|\s*[和与與及或跟와과と]\s*|\s+ו-?)"
)
_ALSO = r"\s*[,،、;&+/]\s*"  # only where nothing follows, since "A/D converter" and "C&C data" name no option
_CUES = (
    r"(?:(?i:both|either|neither|only|not|except|same as|identical to|equivalent to|equal to|similar to|like|as in|see"
    r"|combination of|all but|everything but|none but|sowohl|weder|nur|seulement|solo|sólo|só|soltanto|ni|tanto"
    r"|entrambi|ambos|только|tylko|sadece|chỉ|hanya)\s+|只有\s*|[仅僅]\s*)"
)
_ONWARDS = "(?:and|or|but|is|are|und|et|y|e|и)"


def _cites_options(option: str, n_options: int) -> bool:
    """Whether an option cites others by number or letter. Wrongly True costs permutations, wrongly False the key."""
    if _OPTION_BY_PLACE.search(option):
        return True
    references = {*ascii_uppercase[:n_options], *map(str, range(1, n_options + 1))}
    named = references.union(_NUMBER_WORDS[:n_options])
    if any(name.upper() in named for name in _NAMED_OPTION.findall(option)):
        return True
    return _is_about_options(option, references) or any(
        _citing(alphabet[:n_options]).match(option) is not None
        for alphabet in _ALPHABETS
        if not set(alphabet[:n_options]).isdisjoint(option)
    )


def _is_about_options(option: str, references: set[str]) -> bool:
    words = [stripped for word in re.split(r"[,\s]+", option) if (stripped := word.strip(".:;()[]'\""))]
    others = [word.upper() for word in words if not _ABOUT_OPTIONS.fullmatch(word)]
    return 0 < len(others) < len(words) and references.issuperset(others)


@cache
def _citing(letters: str) -> re.Pattern:
    """Matches a text that begins with two of these letters, with one behind "same as" and the like, or with "B is"."""
    bare = rf"\(?[{letters}]\)?"
    letter = rf"{bare}(?!\w|[-/&'’]\w)"
    opening = r"\W*(?:(?i:a|the|it is|this is|they are)\s+)?"
    at_end = rf"(?=\W*$|\s*[,;:.)]|\s+{_ONWARDS}\b)"
    return re.compile(
        rf"{opening}{_CUES}*{bare}{_AND}{_CUES}*{letter}"
        rf"|{opening}{_CUES}*{bare}(?:{_ALSO}{bare})+{at_end}"
        rf"|{opening}{_CUES}+{letter}{at_end}"
        rf"|\W*{letter}\s+(?:is|are|ist|est|es|è|é)\s+\w+"
    )


# --- Questions that list their options themselves ------------------------------------------------------------------


def _lists_options(question: Question) -> bool:
    """Whether the question's text lists options by letter, or its own options by any letter or number.

    Also True if the options are nothing but letters in order: what they stand for lies in the question.
    """
    text, options = _plain(question.question), [_plain(option) for option in question.options]
    if [option.strip("().") for option in options] == list(ascii_uppercase[: len(options)]):
        return True
    for style in (r"\({}\)\s*", r"(?<![\w(]){}\)\s*", r"(?<!\w){}[.:]\s"):
        for first, second in (("A", "B"), ("a", "b")):
            first_label, second_label = style.format(first), style.format(second)
            if re.search(rf"{first_label}\S.*?{second_label}\S", text):
                return True
    folded = text.casefold()
    return all(
        # Found first as it stands: to compile a pattern takes much longer.
        (one := option.casefold()) in folded and re.search(rf"(?<!\w)\w{{1,4}}[).:]+\s*{re.escape(one)}", folded)
        for option in options
    )
