// The sentences of the generated prose: what the words of prose_words.cpp are put into.
#include "tasks/prose_grammar.hpp"

namespace namm::tasks {
namespace {

constexpr GrammarRule kSentences[] = {
    // --- who, what, where, when ---
    {"name", "{man}|{woman}|{man} {surname}|{woman} {surname}"},
    {"someone",
     "{hero}|{hero}|{he}|{he}|{he}|{other}|{other}|the {trade}|the {trade}|the {adj} {trade}|the {trade} from {town}|"
     "{name}|{a} {trade}|the {trade}'s {kin}|{hero}'s {kin}|{his} {kin}|{his} old teacher|the {group}|most of the {group}|"
     "some of the {group}|{numword} {group}|a few {group}|nobody in {town}|almost everyone|one of the {group}|"
     "another {trade}|Mr. {surname}|Mrs. {surname}|the {surname} family|the town council|the owner of the {building}"},
    {"object",
     "the {thing}|the {thing}|the {adj} {thing}|the {adj} {thing}|{a} {adj} {thing}|{a} {thing}|{a} {adj}, {adj} {thing}|"
     "{his} {thing}|{his} {adj} {thing}|the {things}|the {adj} {things}|the {idea}|the {adj} {building}|the {building}|"
     "the {building} in {town}|the {trade}'s {thing}|{numword} {things}|a few {things}|some {stuff}|a little {stuff}|"
     "the {thing} from {town}|the {thing} made of {material}|the {idea} of the {trade}|another {thing}|"
     "the {thing} that {other} {vt}|the {material} {thing}|the whole {idea}|every {thing} in the {building}|"
     "the {thing} and the {thing}|both the {thing} and the {things}"},
    {"subject",
     "the {thing}|the {adj} {thing}|the {building}|the {building}|the {building} in {town}|the {landscape}|"
     "the {landscape} near {town}|the old {building}|{his} {thing}|the {idea}|the {trade}'s {building}|the road to {town}|"
     "the {thing} on the table|the room above the {building}|the {adj} {material} {thing}|one of the {things}|"
     "the {stuff} from {town}"},
    {"where",
     "in {town}|in {town}|near {town}|near the {building}|in the {building}|in the {building}|behind the {building}|"
     "outside the {building}|by the {landscape}|beyond the {landscape}|on the way to {town}|"
     "at the edge of the {landscape}|opposite the {building}|between the {building} and the {landscape}|"
     "in {a} {adj} house|at the {building}|under the trees|along the {landscape}|in the {building} of {town}|"
     "across the {landscape}|on the far side of the {landscape}|among the {group}|in a room above the {building}|"
     "next to the {adj} {building}"},
    {"when",
     "in {month}|in the {season}|on {weekday}|on {weekday} morning|on {weekday} evening|one {season}|one morning|"
     "one evening|every {weekday}|each {season}|early in {month}|late in {month}|that {season}|the next day|"
     "the following {season}|after the {idea}|before the {idea}|during the {idea}|at dawn|at noon|towards evening|"
     "a week later|{numword} days later|{numword} years ago|some years before|after {numword} months|in those days|"
     "for {numword} years|in the year of the {idea}|since {month}|until {weekday}|at the end of {month}|"
     "shortly after midnight|in {digits:year}|by {digits:year}"},
    {"tail",
     "||||||| {where}| {where}| {when}| {when}| {where} {when}| with {object}| without {object}| for {numword} coins|"
     " {adv}|, {adv} and with care| for the {group}| because of the {idea}| in spite of the {idea}|"
     " instead of the {thing}|, as {someone} had hoped|, which {someone} {vt} {adv}|, to the surprise of the {group}|"
     ", as usual|, or so {someone} {vthink}| with great care| after the {idea}| in exchange for {some}|"
     ", though not for long|, even without {object}| as {a} gift for {his} {kin}"},
    {"some", "some {stuff}|{numword} {things}|a little {stuff}|{a} {thing}|{a} {adj} {thing}|help with the {idea}|a promise"},
    {"did",
     "{vt} {object}|{vt} {object}|{vt} {object}{tail}|{vi} {where}|{vi} {when}|{vi}{tail}|{vto} to {inf}|{vto} to {inf}|"
     "{vt} {object} and {vt} {object}|{vi} and {vi}|{vt} {object} and {vto} to {inf}|went to {town} for {some}|"
     "gave {object} to {other}|showed {other} {object}|put {object} {where}|said nothing about {object}|"
     "had no interest in {object}|seemed {mood}|felt {mood} about {object}|grew {mood}|felt {mood} and {mood}|"
     "worked as {a} {trade} {where}|knew {object} well|had never seen {object}|could not find {object}|"
     "left {object} {where}|spent {an_hour} with {object}|came back with {object}|looked at {object} and {vi}"},
    {"clause",
     "{someone} {did}|{someone} {did}|{someone} {did}|{someone} {did}|{someone} {did}|{someone} {did}|{someone} {did}|"
     "{someone} {did}|{someone} {did}|{someone} {did}|{subject} was {state}|{subject} was {state}|{subject} was {state}|"
     "{subject} was {adj} and {adj}|{weather}|{weather}|{rare}"},
    {"rare",
     "there was {a} {thing} {where}|there were {things} {where}|nothing changed {where}|it was too late for {a} {idea}|"
     "there was no news of the {idea}|the {thing} and the {things} were missing|the {group} were {mood}|"
     "there was no trace of {other}|the {idea} led to {a} {adj} {idea}|the price of {stuff} rose {adv}|"
     "the {things} were sold in {town}|the {idea} ended {adv}|the {building} belonged to {other}|"
     "it took {an_hour} to reach the {landscape}|the {thing} lay {where}|the {things} stood {where}|"
     "the smell of {stuff} hung over the {landscape}|the {idea} was the talk of {town}|a letter from {town} arrived {adv}"},
    {"weather",
     "it rained {where}|it rained for {numword} days|the wind came from the {landscape}|snow lay on the {landscape}|"
     "the {landscape} was covered with fog|the sun shone on the {building}|the {season} was dry|the nights grew colder|"
     "the {landscape} smelled of {stuff}|the storm damaged the {building}|the light was {adj} and {adj}|"
     "the water rose {adv}"},
    // --- sentences ---
    {"plain",
     "{someone} {did}.|{someone} {did}.|{someone} {did}.|{someone} {did}{tail}.|{someone} {adv} {vt} {object}.|"
     "{when}, {someone} {did}.|{when}, {someone} {did}.|{when}, {clause}.|{where}, {someone} {did}.|"
     "{subject} was {state}.|{subject} was {state}.|{subject} was {adj}, and {clause}.|"
     "{subject} was not {state}, as {someone} {vthink}, but {state}.|{weather}.|{when}, {weather}.|"
     "there was {a} {adj} {thing} {where}.|there were {things} {where}, and {clause}."},
    {"joined",
     "{clause}, and {clause}.|{clause}, but {clause}.|{clause}, so {clause}.|{clause}, while {clause}.|"
     "{clause}, for {clause}.|although {clause}, {clause}.|because {clause}, {clause}.|when {clause}, {someone} {did}.|"
     "after {someone} {did}, {clause}.|before {someone} {did}, {clause}.|while {clause}, {someone} {did}.|"
     "if {someone} {did}, {clause}, or so {other} {vthink}.|as soon as {clause}, {someone} {did}.|{clause}; {clause}.|"
     "{clause}: {clause}.|not only was {subject} {state}, but {clause}.|since {clause}, {someone} {vto} to {inf}.|"
     "{someone} {did} until {clause}.|even though {clause}, {someone} {vto} to {inf}."},
    {"reported",
     "{someone} {vthink} that {clause}.|{someone} {vthink} that {clause}.|{someone} {vthink} that {subject} was {state}.|"
     "according to {other}, {clause}.|{someone} {vthink} that {clause}, but {clause}.|the {thing} said that {clause}.|"
     "it was said {where} that {clause}.|{other} asked whether {clause}.|nobody {vthink} that {clause}.|"
     "\"{clause},\" said {other}.|\"perhaps {clause},\" {other} {vsay}.|\"{clause},\" {someone} {vsay}.|"
     "\"I {vt} {object},\" said {hero}, \"and {clause}.\"|\"we {vt} {object} {when},\" {someone} {vsay}.|"
     "\"where is {object}?\" asked {other}.|\"who {vt} {object}?\" {someone} wanted to know."},
    {"relative",
     "{hero}, who {did}, {did}.|{other}, who was {mood}, {did}.|the {trade}, who {vi} {where}, {did}.|"
     "{subject}, which was {state}, belonged to {other}.|the {thing}, which {someone} {vt} {when}, was {state}.|"
     "the {thing} that {someone} {vt} was {state}.|the {group} who {vi} {where} {did}.|"
     "{town}, where {someone} {did}, was {state}.|the {building} where {someone} {vi} was {state}.|"
     "having {vpp} {object}, {someone} {did}.|{mood} and {mood}, {someone} {did}.|{mood} after the {idea}, {hero} {did}.|"
     "what {someone} {vt} was not {object} but {object}.|it was {other} who {vt} {object}.|"
     "one of the {things} {where} was {state}.|neither {hero} nor {other} {vt} {object}.|both {hero} and {other} {did}."},
    {"vpp",
     "admired|borrowed|bought|carried|cleaned|collected|copied|counted|described|discovered|examined|explained|finished|"
     "found|inspected|lost|measured|mended|noticed|packed|painted|polished|praised|refused|rejected|removed|repaired|"
     "restored|sold|studied"},
    {"counted",
     "{someone} {vt} {numword} {things} and {numword} {things}.|there were {numword} {things} in the {building}.|"
     "the {building} had {numword} windows and {numword} doors.|the journey to {town} took {numword} hours.|"
     "{someone} paid {numword} coins for {object}.|{hero} was {numword} years old when {someone} {did}.|"
     "the {building} was {numword} miles from {town}.|of the {numword} {group}, {numword} {did}.|"
     "the {thing} cost {numword} coins, and {clause}.|{someone} waited {numword} weeks for {object}."},
    {"digits",
     "the {building} was built in {digits:year} and rebuilt in {digits:year}.|in {digits:year} {someone} {did}.|"
     "{hero} was born in {digits:year} {where}.|the {idea} of {digits:year} was soon forgotten.|"
     "the {building} held {digits:3} {things} and {digits:2} {things}.|the bill came to {digits:3} coins, and {clause}.|"
     "the library owned {digits:5} books and {digits:4} maps.|the inventory listed {digits:4} {things} {where}.|"
     "the {trade} recorded {digits:5} {things} that {season}.|{town} had {digits:5} inhabitants in {digits:year}.|"
     "the counter on the {thing} stood at {digits:7}.|the parish register ended with entry {digits:4}.|"
     "the ticket to {town} bore the number {digits:5}.|the house at {digits:2} {surname} Street was {state}.|"
     "room {digits:3} was {state}.|the engine had run for {digits:7} turns.|"
     "the mill made {digits:4} sacks of {stuff} in {digits:year}.|the {landscape} was {digits:3} paces wide.|"
     "{someone} counted {digits:2} {things} and {digits:3} {things}.|lot {digits:4} at the auction was {a} {adj} {thing}.|"
     "the train at {digits:2} minutes past noon was late.|the letter was dated {digits:2} days after the {idea}.|"
     "{someone} sold {digits:4} {things} in one {season}.|the survey counted {digits:6} trees and {digits:5} {things}."},
    {"linking",
     "What happened afterwards is not entirely clear.|None of this seemed important at the time.|"
     "Opinions about it differed for many years.|There were, of course, other reasons as well.|"
     "The matter might have ended there.|Such things were not unusual in that part of the country.|"
     "It was a small thing, but people remembered it.|The rest of the story is soon told.|"
     "Few records of those years survive.|Much of this was written down only later.|"
     "Nobody thought it worth a second look.|Everything else went on as before.|This was perhaps not the whole truth.|"
     "The newspapers took no notice.|For a while there was no news at all.|It is hard to say who was right.|"
     "There was more to it than that.|As so often, the simplest explanation was the right one.|The weather did not help.|"
     "Not everyone was satisfied with this answer.|The plan had one obvious weakness.|"
     "It took some time before the difference was noticed.|On this point all accounts agree.|"
     "Here the two accounts differ.|That, at least, was the official version.|The older people still told it differently.|"
     "Some of it may even have been true.|It was not the first time, nor would it be the last.|"
     "After that the subject was dropped.|No one asked for the reason.|The following years were quieter.|"
     "A good deal depended on the harvest.|Money was short, as it usually was.|The arrangement suited both sides.|"
     "In the end it made little difference.|The details hardly matter now.|Only the date remained uncertain.|"
     "There was nothing to be done about it.|So the days went by.|It would be easy to laugh at this today.|"
     "Still, it was a beginning.|Later generations saw it in another light.|That was how the custom began.|"
     "The evenings were long, and there was little else to do.|Of the original plan almost nothing was left.|"
     "The cost was never made public.|Several explanations have been offered.|The truth lay somewhere in between."},
    {"sentence",
     "{plain}|{plain}|{plain}|{plain}|{plain}|{plain}|{joined}|{joined}|{joined}|{joined}|{reported}|{reported}|"
     "{reported}|{relative}|{relative}|{relative}|{counted}|{digits}|{digits}|{linking}"},
    {"brief",
     "{hero} {vi}.|{other} {vi}.|the {trade} {vi}.|{he} {vt} the {thing}.|{other} {vt} the {thing}.|{he} was {mood}.|"
     "{other} was {mood}.|it rained.|it was {month}.|it was {weekday}.|the {building} was {adj}.|the {thing} was {adj}.|"
     "the {group} {vi}.|nobody {vi}.|the {season} was long.|{he} {vt} {some}.|the {idea} was over.|the door was open.|"
     "so it was done.|time passed."},
};

}  // namespace

std::span<const GrammarRule> prose_sentences() {
  return kSentences;
}

}  // namespace namm::tasks
