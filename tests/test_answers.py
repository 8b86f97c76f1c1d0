"""Reading answers: the rules as tables of examples, and properties that hold for any text."""

import csv
import time

import pytest
from answer_sets import read_cases, tally
from hypothesis import given, settings
from hypothesis import strategies as st

from obvlib.core import manifests_dir
from obvlib.scoring.agreement import cohens_kappa, error_shares
from obvlib.scoring.choices import Parsed, parse_choice
from obvlib.scoring.open_answers import judge_open
from obvlib.scoring.yes_no import parse_yes_no

VALVES = {
    "A": "Aortic stenosis",
    "B": "Aortic regurgitation",
    "C": "Mitral stenosis",
    "D": "Stenosis",
}

CHOICES = [
    # nothing but a letter
    ("B", "B", "letter"),
    ("b", "B", "letter"),
    ("(B)", "B", "letter"),
    ("B.", "B", "letter"),
    ("b)", "B", "letter"),
    ("[b]", "B", "letter"),
    ("**B**", "B", "letter"),
    ("*(b)*", "B", "letter"),
    ("'B'", "B", "letter"),
    ("“B”", "B", "letter"),
    ("Option B", "B", "letter"),
    ("Answer B", "B", "letter"),
    ("\n\n B \n", "B", "letter"),
    ("B</s>", "B", "letter"),
    ("B<|im_end|>", "B", "letter"),
    ("Ｂ", "B", "letter"),
    ("Ⓑ", "B", "letter"),
    ("\u200bB\ufeff", "B", "letter"),
    ("A", "A", "letter"),
    ("a", "A", "letter"),
    ("<think>Is it A? No, B.</think>C", "C", "letter"),
    # nothing but an option's text
    ("Aortic stenosis", "A", "text"),
    ("aortic regurgitation.", "B", "text"),
    ("Stenosis", "D", "text"),
    ("**Mitral  Stenosis**", "C", "text"),
    # stated
    ("The answer is B", "B", "stated"),
    ("the answer is b.", "B", "stated"),
    ("The correct answer is (C).", "C", "stated"),
    ("Answer: B) Aortic regurgitation", "B", "stated"),
    ("Answer: A", "A", "stated"),
    ("**Answer:** A", "A", "stated"),
    ("The final answer is: **D**", "D", "stated"),
    ("The answer is (most likely) B", "B", "stated"),
    ("The answer is mitral stenosis", "C", "stated"),
    ("The diagnosis is aortic regurgitation, not stenosis.", "B", "stated"),
    (r"\boxed{B}", "B", "stated"),
    (r"$\boxed{\text{B}}$", "B", "stated"),
    ("<answer>C</answer>", "C", "stated"),
    ("I would choose C.", "C", "stated"),
    ("I'd go with option c", "C", "stated"),
    ("C is correct", "C", "judged"),
    ("A is correct", "A", "judged"),
    ("A, B and C are wrong; D is correct.", "D", "judged"),
    ("First A seems right. Wait, the answer is C.", "C", "stated"),
    ("Answer: A\n\nOn reflection, the answer is B.", "B", "stated"),
    ("There is no doubt the answer is B", "B", "stated"),
    ("The answer is C, not B.", "C", "stated"),
    ('{"answer": "B"}', "B", "stated"),
    ("Ans: b", "B", "stated"),
    # last line
    ("I'd rule out A, B and D. C.", "C", "last line"),
    ("Definitely not A. B.", "B", "last line"),
    ("The jet is fast.\nSo it is severe.\nB", "B", "last line"),
    ("It leaks in diastole.\n\nAortic regurgitation", "B", "last line"),
    (
        "A) Aortic stenosis\nB) Aortic regurgitation\nC) Mitral stenosis\nD) Stenosis\n\nB",
        "B",
        "last line",
    ),
    # leading letter
    ("B) Aortic regurgitation", "B", "leading letter"),
    ("B: aortic regurgitation is seen", "B", "leading letter"),
    ("B Aortic regurgitation", "B", "leading letter"),
    ("(B) because the valve leaks", "B", "leading letter"),
    ("B, because the valve leaks", "B", "leading letter"),
    ("B because the valve leaks", "B", "leading letter"),
    ("D - Stenosis", "D", "leading letter"),
    ("C, not B", "C", "leading letter"),
    ("C (not A)", "C", "leading letter"),
    ("A. The valve is narrow.", "A", "leading letter"),
    # mentioned letter
    ("I think it is not A but C", "C", "mentioned letter"),
    ("I think it is (B), since it leaks", "B", "mentioned letter"),
    ("A is wrong, B is wrong, so D.", "D", "mentioned letter"),
    ("Neither A nor B, it is C", "C", "mentioned letter"),
    ("Rather than A, I think C", "C", "mentioned letter"),
    ("Looking at the valve, option B fits", "B", "judged"),
    # mentioned text
    ("This shows mitral stenosis", "C", "mentioned text"),
    ("A 55-year-old man with aortic regurgitation", "B", "mentioned text"),
    ("There is no mitral stenosis but aortic regurgitation", "B", "mentioned text"),
    ("Mitral stenosis is not seen, the jet is aortic regurgitation", "B", "mentioned text"),
    ("The answer is not aortic stenosis but mitral stenosis", "C", "mentioned text"),
    # none
    ("", None, "empty"),
    (" \n\t", None, "empty"),
    ("<think>It could be A or", None, "empty"),
    ("A or B", None, "ambiguous"),
    ("A/B", None, "ambiguous"),
    ("A) or perhaps C)", None, "no option"),
    ("The answer is B or rather C", None, "ambiguous"),
    ("A vs. B", None, "ambiguous"),
    ("1. A\n2. B", None, "no option"),
    ("Could be A, but more likely B", "B", "mentioned letter"),
    ("The answer is C. Wait, let me check the valve again.", None, "revised"),
    ("A, B, C, D", None, "ambiguous"),
    ("The answer is C or D", None, "ambiguous"),
    ("B\nA", None, "ambiguous"),
    ("Mitral stenosis or aortic regurgitation", None, "ambiguous"),
    ("The answer is mitral stenosis or aortic regurgitation", None, "ambiguous"),
    (
        "A) Aortic stenosis B) Aortic regurgitation C) Mitral stenosis D) Stenosis",
        None,
        "ambiguous",
    ),
    ("B) Aortic stenosis", None, "conflict"),
    ("The answer is B: mitral stenosis.", None, "conflict"),
    ("Aortic", None, "no option"),
    ("Aortic dissection", None, "no option"),
    ("A 55-year-old man", None, "no option"),
    ("A mass", None, "no option"),
    ("A not uncommon finding", None, "no option"),
    ("The answer is a dilated ventricle", None, "no option"),
    ("The answer is not A.", None, "no option"),
    ("If the answer were obvious, e.g. if it is B, I would say so", None, "no option"),
    ("I don't think the answer is B.", None, "no option"),
    ("Not C", None, "no option"),
    ("Neither A nor B", None, "no option"),
    ("None of these", None, "no option"),
    ("I cannot tell whether it is A", None, "no option"),
    ("Bad abdominal cardiac dance", None, "no option"),
    ("N/A", None, "no option"),
    ("D-dimer is high", None, "no option"),
    ("He lacks vitamin D", None, "no option"),
    ("BB", None, "no option"),
    ("E", None, "no option"),
    ("!!!!", None, "no option"),
]


@pytest.mark.parametrize(
    ("response", "choice", "rule"), CHOICES, ids=[repr(row[0])[:60] for row in CHOICES]
)
def test_choice(response, choice, rule):
    assert parse_choice(response, VALVES) == Parsed(choice, rule)


OTHER_OPTIONS = [
    # an option's text holds a letter
    ("hepatitis B", {"A": "Hepatitis B", "B": "Hepatitis A"}, "A"),
    ("The answer is hepatitis B.", {"A": "Hepatitis B", "B": "Hepatitis A"}, "A"),
    ("C. difficile", {"A": "C. difficile", "B": "E. coli", "C": "Candida"}, "A"),
    ("Both A and B are seen", {"A": "a valve", "B": "a wall", "C": "Both A and B"}, "C"),
    # numbers and their signs
    ("40%", {"A": "> 40%", "B": "< 40%", "C": "40%"}, "C"),
    ("below, i.e. < 40 %", {"A": "> 40%", "B": "< 40%", "C": "40%"}, "B"),
    ("160 beats", {"A": "60", "B": "160"}, "B"),
    ("5.5 cm", {"A": "5", "B": "5.5"}, "B"),
    ("15", {"A": "5", "B": "1"}, None),
    # contained in one another, and denied
    ("abnormal", {"A": "Normal", "B": "Abnormal"}, "B"),
    ("It is not normal", {"A": "Normal", "B": "Abnormal"}, None),
    ("mild to moderate", {"A": "Mild", "B": "Mild to moderate", "C": "Moderate"}, "B"),
    ("No regurgitation is seen", {"A": "Regurgitation", "B": "No regurgitation"}, "B"),
    ("I would say none of the above", {"A": "A clip", "B": "None of the above"}, "B"),
    # the same text twice says nothing; its letter does
    ("a clip", {"A": "A clip", "B": "a clip."}, None),
    ("B) a clip", {"A": "A clip", "B": "a clip."}, "B"),
    # yes and no as options
    ("Yes, there is no effusion", {"A": "No", "B": "Yes"}, "B"),
    ("There is no polyp", {"A": "No", "B": "Yes"}, "A"),
    ("Normal", {"A": "No", "B": "Yes"}, None),
    ("A", {"A": "No", "B": "Yes"}, "A"),
    ("A polyp is present", {"A": "No", "B": "Yes"}, "B"),
    # keys and scripts of other kinds
    ("The answer is c", {"a": "one", "b": "two", "c": "three"}, "c"),
    ("2", {"1": "one", "2": "two"}, "2"),
    ("Сердце", {"A": "Лёгкое", "B": "сердце"}, "B"),
    ("心脏", {"A": "肺", "B": "心脏"}, "B"),
    ("+", {"A": "+", "B": "–"}, "A"),
    ("?", {"A": "?", "B": "!"}, None),
]


@pytest.mark.parametrize(
    ("response", "options", "choice"), OTHER_OPTIONS, ids=[row[0] for row in OTHER_OPTIONS]
)
def test_choice_among_other_options(response, options, choice):
    assert parse_choice(response, options).choice == choice


GRADES = "Normal|Mild|Moderate|Severe"
FRACTIONS = "Less than 30%|30-45%|46-55%|Greater than 55%"
JETS = "Mitral regurgitation|Aortic stenosis|Tricuspid regurgitation|No abnormality"
GERMS = "Staphylococcus aureus|Streptococcus pyogenes|Escherichia coli|Hepatitis B virus|Candida"
KINDS = [  # what was misread once, one or two of each kind
    ("Options A and B can be ruled out. Of C and D, the jet area favours D.", GRADES, "D"),
    ("Not A, not B, and certainly not D.", GRADES, "C"),
    ("Not A, not B, not C. None of the above.", GRADES, None),
    ("I would choose C over D.", GRADES, "C"),
    ("Answer: Moderate (B)", GRADES, None),
    ("Option C is severe.", GRADES, None),
    ("Option D is out, since the jet is narrow.", GRADES, None),
    ("A: no, since the wall is thick.", GRADES, None),
    ("The EF is about 38%.", FRACTIONS, "B"),
    ("LVEF<30%", FRACTIONS, "A"),
    ("EF is 50-60%", FRACTIONS, None),
    ("Normal is above 55%. Here the EF is roughly 25%.", FRACTIONS, None),
    ("The EF is definitely not above 55%.", FRACTIONS, None),
    ("I see both mitral and tricuspid regurgitation.", JETS, None),
    ("Left lower or right lower lobe", "Left lower lobe|Right lower lobe", None),
    ("Next to the left ventricle, it is labelled C.", "Left ventricle|Aorta|Left atrium", "C"),
    ("Everything argues against mild. The finding is moderate.", GRADES, "C"),
    ("E. coli", GERMS, "C"),
    ("RV", "Left ventricle|Right ventricle", "B"),
    ("箭头所指的是右心房。", "左心室|右心房", "B"),
    ("不是A，而是B。", "左心室|右心房", "B"),
]


@pytest.mark.parametrize(("response", "options", "choice"), KINDS, ids=[row[0] for row in KINDS])
def test_choice_of_kinds_once_misread(response, options, choice):
    lettered = dict(zip("ABCDE", options.split("|"), strict=False))
    assert parse_choice(response, lettered).choice == choice


@pytest.mark.parametrize("options", [{}, {"AB": "x"}, {"": "x"}, {"-": "x"}], ids=repr)
def test_options_without_letters_are_an_error(options):
    with pytest.raises(ValueError, match="need single letters"):
        parse_choice("A", options)


YES_NO = [
    ("Yes.", "yes", "leading"),
    ("YES", "yes", "leading"),
    ("**No**", "no", "leading"),
    ("No, the wall is smooth.", "no", "leading"),
    ("No polyp is seen", "no", "leading"),
    ("Yes, there is no effusion", "yes", "leading"),
    ("The answer is no.", "no", "stated"),
    ("Answer: yes", "yes", "stated"),
    (r"\boxed{no}", "no", "stated"),
    ("Yes or no? The answer is yes", "yes", "stated"),
    ("yes/no: no", "no", "leading"),
    ("The lumen is smooth. No.", "no", "last line"),
    ("The heart beats.\nyes", "yes", "last line"),
    ("Not seen", "no", "synonym"),
    ("Present.", "yes", "synonym"),
    ("absent", "no", "synonym"),
    ("True", "yes", "synonym"),
    ("I would say yes", "yes", "mentioned"),
    ("I think no, it is smooth", "no", "mentioned"),
    ("There is no polyp", "no", "asserted"),
    ("There is a polyp", "yes", "asserted"),
    ("The polyp is not visible", "no", "asserted"),
    ("It isn't visible", "no", "asserted"),
    ("I do not see a polyp", "no", "asserted"),
    ("Nothing is seen", "no", "asserted"),
    ("Polyp present", "yes", "asserted"),
    ("A polyp is seen", "yes", "asserted"),
    ("There is no evidence that a polyp is present", "no", "asserted"),
    ("No doubt there is a polyp", "yes", "asserted"),
    ("It would be wrong to say that there is no polyp", "yes", "asserted"),
    ("Answer: No, there is only a catheter", "no", "stated"),
    ("Is there a polyp? No, there is a fold.", "no", "leading"),
    ("Most likely not.", "no", "synonym"),
    ("", None, "empty"),
    ("...", None, "empty"),
    ("I cannot say", None, "undecided"),
    ("It is unclear whether there is a polyp", None, "undecided"),
    ("I cannot see the image", None, "undecided"),
    ("No image was provided", None, "undecided"),
    ("Not sure", None, "undecided"),
    ("Yes and no", None, "ambiguous"),
    ("no yes", None, "ambiguous"),
    ("No, wait, yes", None, "ambiguous"),
    ("There is a catheter and no polyp", None, "ambiguous"),
    ("Normal", None, "no answer"),
    ("North", None, "no answer"),
    ("Know", None, "no answer"),
    ("Noted", None, "no answer"),
    ("Yesterday", None, "no answer"),
    ("The answer is not yes", None, "no answer"),
    ("心脏", None, "no answer"),
]


@pytest.mark.parametrize(
    ("response", "choice", "rule"), YES_NO, ids=[repr(row[0]) for row in YES_NO]
)
def test_yes_no(response, choice, rule):
    assert parse_yes_no(response) == Parsed(choice, rule)


ASKED_THE_OTHER_WAY = [
    ("Is the mucosa normal?", "There is a large polyp.", None),
    ("Is the mucosa normal?", "No polyp is seen.", None),
    ("Is the mucosa normal?", "No, there is a polyp.", "no"),
    ("Is the valve normal?", "The valve is normal.", "yes"),
    ("Is the valve normal?", "Abnormal", "no"),
    ("Is the valve normal?", "The valve does not look normal.", "no"),
    ("Is the valve normal?", "It is unlikely to be normal.", "no"),
    ("Is the liver normal?", "The left lobe is normal, the right has a mass.", None),
    ("Is the gallbladder absent?", "Absent.", "yes"),
    ("Is the gallbladder absent?", "It is present.", None),
    ("Is the gallbladder absent?", "The gallbladder is not absent.", "no"),
    ("Is the pleura free of fluid?", "No fluid is seen.", None),
    ("Is the pleura free of fluid?", "Correct.", "yes"),
    ("Isn't the valve calcified?", "It is calcified", None),
    ("Is it normal?", "but", None),
    ("Is a thrombus present?", "There is a thrombus.", "yes"),
    ("Is a thrombus present?", "No thrombus is seen.", "no"),
    ("Is a thrombus present? Answer yes or no.", "There is a thrombus.", "yes"),
    ("Is there a mass, yes/no?", "No mass is seen.", "no"),
    ("Is the heart enlarged or not?", "The enlargement is clearly visible.", "yes"),
]


@pytest.mark.parametrize(
    ("question", "response", "choice"),
    ASKED_THE_OTHER_WAY,
    ids=[" ".join(row[:2]) for row in ASKED_THE_OTHER_WAY],
)
def test_a_finding_does_not_answer_whether_something_is_normal(question, response, choice):
    assert parse_yes_no(response, question).choice == choice
    letters = {"yes": "A", "no": "B", None: None}
    assert parse_choice(response, {"A": "Yes", "B": "No"}, question).choice == letters[choice]


OPEN = [
    ("Left ventricle.", "the left ventricle", True, "exact"),
    ("thyroid removal surgery", "removal of the thyroid", True, "same"),
    ("The surgeon uses a scalpel", "scalpel", True, "within"),
    ("a CT", "computed tomography", True, "same"),
    ("Subarachnoid haemorrhages", "subarachnoid hemorrhage", True, "same"),
    ("pnuemothorax", "pneumothorax", True, "same"),
    ("An echocardiogram", "echocardiogram of the heart", False, "missing"),
    ("the spleen", "the liver", False, "missing"),
    ("hemorrhage", "subdural hemorrhage", False, "missing"),
    ("ilium", "ileum", False, "missing"),
    ("liver spleen kidney heart lung", "liver", True, "within"),
    ("liver, spleen, kidney", "liver", False, "list"),
    ("liver, spleen and kidney", "liver and spleen", False, "list"),
    ("liver", "liver and spleen", False, "missing"),
    ("polyp or diverticulum", "polyp", False, "list"),
    ("90 beats per minute", "60 beats per minute", False, "number"),
    ("60 bpm", "60 beats per minute", True, "same"),
    ("about beats per minute", "60 beats per minute", False, "number"),
    ("60 or 90 beats per minute", "60 beats per minute", False, "number"),
    ("30 mm", "3 cm", True, "same"),
    ("3", "3 cm", False, "number"),
    ("<30%", "less than 30%", True, "exact"),
    ("more than 30%", "less than 30%", False, "number"),
    ("three", "3", True, "same"),
    ("grade III", "grade 3", True, "same"),
    ("grade II", "grade 3", False, "number"),
    ("right ventricle", "left ventricle", False, "opposite"),
    ("decreased flow", "increased flow", False, "opposite"),
    ("left ventricle and right ventricle", "left ventricle", False, "opposite"),
    ("no polyp", "a polyp", False, "denied"),
    ("a polyp", "no polyp", False, "denied"),
    ("it isn't a polyp", "polyp", False, "denied"),
    ("CT without contrast", "CT", True, "same"),
    ("malignant, not benign", "malignant", True, "same"),
    ("type B dissection", "type A dissection", False, "missing"),
    ("non-absorbable suture", "absorbable suture", False, "missing"),
    ("cut the cystic duct", "clip the cystic duct", False, "opposite"),
    ("S. aureus", "Staphylococcus aureus", True, "exact"),
    ("It may be a polyp", "polyp", False, "undecided"),
    ("At first I thought polyp. No, it is a fold.", "fold", True, "same"),
    ("", "a polyp", False, "empty"),
    ("...", "a polyp", False, "empty"),
    ("the", "the", True, "exact"),
]


@pytest.mark.parametrize(
    ("response", "answer", "correct", "rule"), OPEN, ids=[f"{r[1]} - {r[0]}" for r in OPEN]
)
def test_open(response, answer, correct, rule):
    judged = judge_open(response, answer)
    assert (judged.correct, judged.rule) == (correct, rule)


def test_overlap_is_f1_of_words_without_articles():
    assert judge_open("thyroid removal", "the thyroid removal surgery").overlap == pytest.approx(
        2 * 2 / (2 + 3)
    )
    assert judge_open("one two", "one three four").overlap == pytest.approx(2 / 5)


def test_similarity_mends_what_is_missing_but_never_what_is_against():
    def alike(one, other):
        return 0.95

    assert judge_open("cutting of a nerve", "neurotomy", alike, 0.95).rule == "similar"
    assert not judge_open("cutting of a nerve", "neurotomy", alike).correct
    assert not judge_open("right ventricle", "left ventricle", alike, 0.9).correct
    assert not judge_open("5 cm", "3 cm", alike, 0.9).correct


@pytest.mark.parametrize("half", ["tuning", "held_back"])
def test_open_answers_agree_with_author_labels(half):
    """The goal on pairs that the rules were not tuned on; a part of these were."""
    with open(manifests_dir() / "judging" / "pairs.csv", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["half"] == half]
    said = [judge_open(row["response"], row["reference"]).correct for row in rows]
    labels = [row["label"] == "1" for row in rows]
    assert len(rows) >= 75 and cohens_kappa(said, labels).value >= 0.5
    assert error_shares(said, labels)[0] <= 0.1


pieces = st.sampled_from(
    "A B C D a b ( ) . , : / * or and not but the answer is option wrong correct yes no \n Aortic"
    " stenosis regurgitation Mitral because I choose \\boxed{ } <think> </think> - 5 % é 心".split(
        " "
    )
)
responses = st.lists(pieces, max_size=25).map(" ".join) | st.text(max_size=60)
option_sets = st.lists(st.text(min_size=1, max_size=12) | pieces, min_size=1, max_size=6).map(
    lambda texts: dict(zip("ABCDEF", texts, strict=False))
)


def read(case):
    if case.options is None:
        return parse_yes_no(case.response).choice
    return parse_choice(case.response, case.options).choice


@pytest.mark.parametrize("closed", [True, False], ids=["choice", "yes_no"])
@pytest.mark.parametrize("name", ["tuning", "held_back"])
def test_responses_as_models_write_them(name, closed):
    """No wrong answer, and at least 93 % of those that give one are read."""
    cases = [case for case in read_cases(name) if (case.options is not None) == closed]
    ends = tally(cases, read)
    assert ends["wrong"] == []
    assert len(ends["right"]) >= 0.93 * (len(ends["right"]) + len(ends["unread"]))


@settings(max_examples=400, deadline=None)
@given(response=responses, options=option_sets)
def test_any_response_gives_one_of_the_letters_or_none(response, options):
    parsed = parse_choice(response, options)
    assert parsed.choice is None or parsed.choice in options
    assert parsed.rule and (parsed.choice is None) == (
        parsed.rule.split(":")[-1]
        in {"empty", "ambiguous", "conflict", "no option", "revised", "undecided", "no answer"}
    )


@settings(max_examples=200, deadline=None)
@given(
    letter=st.sampled_from("ABCD"),
    frame=st.sampled_from(["{}", "({})", "{}.", "Answer: {}", "The answer is {}."]),
)
def test_the_order_of_options_does_not_matter(letter, frame):
    turned = dict(reversed(VALVES.items()))
    assert parse_choice(frame.format(letter), turned) == parse_choice(frame.format(letter), VALVES)
    assert parse_choice(frame.format(letter), VALVES).choice == letter


@settings(max_examples=300, deadline=None)
@given(responses)
def test_yes_no_of_any_text(response):
    assert parse_yes_no(response).choice in ("yes", "no", None)


@settings(max_examples=300, deadline=None)
@given(responses, responses)
def test_open_judgement_of_any_text(response, answer):
    judged = judge_open(response, answer)
    assert 0 <= judged.overlap <= 1
    assert judge_open(response, response).correct or judged.rule == "empty" or not response.strip()


@pytest.mark.parametrize(
    "piece",
    [
        "A ",
        "not ",
        "(",
        "A, ",
        "the answer is ",
        "<",
        "Aortic ",
        "\n",
        "no ",
        "A) Aortic stenosis ",
        "B? B? B? B? ",
        " " * 30,
    ],
)
def test_a_very_long_response_takes_little_time(piece):
    start_s = time.process_time()
    parse_choice(piece * 3000, VALVES)
    parse_yes_no(piece * 3000)
    assert time.process_time() - start_s < 5  # a quadratic rule takes minutes
