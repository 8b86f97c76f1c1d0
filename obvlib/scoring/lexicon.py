"""Words of the field that mean the same, exclude one another, or decide nothing.

Short on purpose: a pair belongs here only if no reader would ever call the two different in a
report. What is not listed is left to a judge.
"""

from __future__ import annotations

# The first of each line is the form that the others are turned into; phrases may be several words.
SAME = """
ct|computed tomography|cat scan|computerized tomography
mri|magnetic resonance imaging|magnetic resonance|mr imaging|mr
xray|x ray|radiograph|plain film|radiography|roentgenogram
ultrasound|sonography|ultrasonography|sonogram|us scan|usg
echocardiogram|echocardiography|echo
transthoracic echocardiogram|tte
transesophageal echocardiogram|tee
electrocardiogram|ecg|ekg
pet|positron emission tomography
optical coherence tomography|oct
left ventricle|lv
right ventricle|rv
left atrium|la
right atrium|ra
left ventricular outflow tract|lvot
inferior vena cava|ivc
superior vena cava|svc
left anterior descending artery|lad
internal carotid artery|ica
middle cerebral artery|mca
common bile duct|cbd
central nervous system|cns
cerebrospinal fluid|csf
right upper lobe|rul
right lower lobe|rll
right middle lobe|rml
left upper lobe|lul
left lower lobe|lll
parasternal long axis|plax
parasternal short axis|psax
myocardial infarction|heart attack|mi
subarachnoid hemorrhage|sah
subdural hematoma|sdh
atrial fibrillation|af|afib
atrial septal defect|asd
ventricular septal defect|vsd
patent ductus arteriosus|pda
patent foramen ovale|pfo
pulmonary embolism|pulmonary embolus|pe
deep vein thrombosis|deep venous thrombosis|dvt
coronary artery disease|cad
congestive heart failure|chf
chronic obstructive pulmonary disease|copd
acute respiratory distress syndrome|ards
renal cell carcinoma|rcc
hepatocellular carcinoma|hcc
squamous cell carcinoma|scc
transient ischemic attack|tia
tuberculosis|tb
multiple sclerosis|ms
urinary tract infection|uti
arteriovenous malformation|avm
abdominal aortic aneurysm|aaa
gastroesophageal reflux disease|gerd
diabetes|diabetes mellitus
dilated cardiomyopathy|dcm
hypertrophic cardiomyopathy|hcm
mitral valve prolapse|mvp|prolapse of mitral valve
coronary artery bypass grafting|cabg|coronary artery bypass graft|coronary bypass
percutaneous coronary intervention|pci
transcatheter aortic valve replacement|tavr|tavi|transcatheter aortic valve implantation
superior mesenteric artery|sma
epidural|extradural
normal|unremarkable|within normal limit
caseous|caseating
intravenous|iv|intravenously
oral|per os|by mouth|orally
indocyanine green|icg
thrombus|clot|blood clot
pneumothorax|collapsed lung
red blood cell|erythrocyte|rbc
white blood cell|leukocyte|wbc
platelet|thrombocyte
epinephrine|adrenaline
norepinephrine|noradrenaline
acetaminophen|paracetamol
bowel|intestine
needle driver|needle holder
laparoscopic cholecystectomy|lap chole
bilateral|both side|on both side
gallstone|cholelithiasis|gall stone
kidney stone|nephrolithiasis|renal calculus|renal stone
cardiomegaly|enlarged heart|enlargement of heart|heart enlargement
high blood pressure|hypertension
hemorrhage|bleeding|bleed
replacement|arthroplasty
stop|prevent|control
cholecystectomy|removal of gallbladder|gallbladder removal
appendectomy|appendicectomy|removal of appendix
laparoscopic|laparoscopy|laparoscopically
hypokinesis|hypokinetic|hypokinesia
akinesis|akinetic|akinesia
dyskinesis|dyskinetic|dyskinesia
lung|pulmonary
kidney|renal
liver|hepatic
heart|cardiac
stomach|gastric
brain|cerebral
aorta|aortic
atrium|atrial
ventricle|ventricular
apex|apical
pancreas|pancreatic
spleen|splenic
esophagus|esophageal
colon|colonic
duodenum|duodenal
jejunum|jejunal
ileum|ileal
rectum|rectal
uterus|uterine
ovary|ovarian
prostate|prostatic
trachea|tracheal
bronchus|bronchial
pleura|pleural
pericardium|pericardial
peritoneum|peritoneal
bile|biliary
artery|arterial
vein|venous
skin|cutaneous
retina|retinal
cornea|corneal
larynx|laryngeal
spine|spinal
neutrophil|polymorphonuclear leukocyte|pmn
hematoxylin and eosin|h e
tumor|neoplasm
axial|transverse
hemostasis|bleeding control
2|both
"""

# Of each line one excludes the others. "left/right" and the like turn an answer around.
APART = """
left right bilateral
upper lower middle
superior inferior
anterior posterior
medial lateral
proximal distal
ascending descending
systolic diastolic
systole diastole
mild moderate severe
acute chronic
benign malignant
artery vein
ct mri ultrasound xray fluoroscopy pet
laparoscopic open robotic
axial coronal sagittal
clip cut
monopolar bipolar
positive negative
normal abnormal
increased decreased
increase decrease
high low
large small
transthoracic transesophageal
ischemic hemorrhagic
mitral tricuspid
hyperechoic hypoechoic
before after
"""

FILLER = frozenset(
    "a an the is are was were be been of in on at to from by with and it its this that there which"
    " as for has have shown show seen see visible present demonstrate image picture video"
    " patient structure arrow point diagnosis answer finding consistent suggest likely most".split()
)
GENERIC = frozenset(
    "scan scanning imaging image view plane section modality technique procedure surgery operation"
    " disease condition disorder device instrument tool type side weighted area region"
    " approach".split()
)
BESIDE = r"\b(?:next to|adjacent to|near|beside|close to)\b"
DENIES_REST = (
    r"(?:,|,? and|,? but)\s+not\b"
    r"|\b(?:no|without|rather than|instead of|neither|lack\w*|free of|unlike)\b"
)
DENIES_ALL = (
    r"\b(?:not|never|cannot|absent|exclud\w+|ruled out|negative for|unlikely|incorrect)\b|n't\b"
)
# What tries to talk to a judge instead of answering.
ADDRESSES_JUDGE = (
    r"\b(?:ignore|disregard|instructions?|score of|give (?:this|me|it)|graded|full marks"
    r"|the reference|correct answer is whatever|the answer is (?:correct|right)|print|output)\b"
)
UNITS = {
    name: unit
    for line in """
    mm millimeter|cm centimeter|m meter|km kilometer|um micrometer|μm micrometer|nm nanometer
    inch inch|inches inch|mg milligram|g gram|kg kilogram|ug microgram|μg microgram|mcg microgram
    ml milliliter|cc milliliter|dl deciliter|cl centiliter|l liter|s second|sec second
    ms millisecond|secs second|min minute|mins minute|h hour|hr hour|hrs hour|mmhg mmHg
    kpa kilopascal|hz hertz
    khz kilohertz|mhz megahertz|bpm 1/minute|% percent|kv kilovolt|mv millivolt|gy gray
    msv millisievert|m/s meter/second|cm/s centimeter/second|ml/min milliliter/minute
    mg/dl milligram/deciliter
    mmol/l millimole/liter|l/min liter/minute|°c degC|°f degF
    """.split("\n")
    for name, unit in (pair.split(" ") for pair in line.strip().split("|") if pair)
} | {
    name + plural: name
    for name in (
        "millimeter centimeter meter micrometer nanometer milligram gram kilogram microgram"
        " milliliter liter second minute hour day week month year percent degree"
    ).split()
    for plural in ("", "s")
}
