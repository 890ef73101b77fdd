// The vocabulary of the generated prose. Plain words, all past tense, so that the grammar needs no agreement.
#include "tasks/prose_grammar.hpp"

namespace namm::tasks {
namespace {

constexpr GrammarRule kWords[] = {
    {"man",
     "Adam|Albert|Andrew|Arthur|Bernard|Carl|Charles|Daniel|David|Edgar|Edmund|Felix|Francis|Frederick|George|Gilbert|"
     "Harold|Henry|Hugh|Isaac|Jacob|James|Jonas|Julian|Leonard|Louis|Martin|Matthew|Maurice|Nathan|Oliver|Oscar|Owen|"
     "Patrick|Paul|Peter|Philip|Ralph|Robert|Rufus|Samuel|Simon|Stephen|Theodore|Thomas|Victor|Walter|William"},
    {"woman",
     "Ada|Agnes|Alice|Amelia|Anna|Beatrice|Bridget|Catherine|Cecilia|Charlotte|Clara|Constance|Dora|Edith|Eleanor|"
     "Elizabeth|Ellen|Emma|Esther|Eva|Flora|Frances|Grace|Hannah|Harriet|Helen|Ida|Irene|Jane|Josephine|Julia|Laura|"
     "Lillian|Lucy|Mabel|Margaret|Martha|Mary|Matilda|Miriam|Nora|Olive|Phoebe|Rachel|Rosa|Ruth|Sarah|Sophia|Susan|Teresa|"
     "Ursula|Winifred"},
    {"surname",
     "Abbott|Ashby|Barlow|Bennett|Blackwood|Bramley|Carver|Chandler|Collins|Crawford|Dalton|Dawson|Ellison|Fairchild|"
     "Fletcher|Foster|Gibson|Goodwin|Granger|Hale|Harding|Hartley|Hobbs|Holloway|Ingram|Jennings|Kendall|Lambert|Langley|"
     "Lockwood|Marsden|Mercer|Middleton|Norris|Osborne|Palmer|Pemberton|Porter|Prescott|Quincy|Ramsey|Rowland|Sawyer|"
     "Shelton|Stafford|Sutton|Talbot|Thornton|Underhill|Vaughan|Wainwright|Weston|Whitaker|Winslow|Yates"},
    {"town",
     "Aldbury|Ambleford|Ashcombe|Barrowby|Birchwick|Blackmoor|Brackenfield|Bridgeton|Calderby|Carrick|Clearwater|"
     "Coldbrook|Cranmere|Dunholm|Eastmarch|Elmsworth|Fairhaven|Farleigh|Fernhill|Foxley|Glenmoor|Granby|Greystone|Halford|"
     "Harwick|Hazelmere|Highgate|Inverlea|Kestrel Bay|Kingsbridge|Langford|Lindale|Little Marsh|Long Barton|Marlow End|"
     "Millbrook|Millhaven|Netherby|Newbold|North Haven|Oakhurst|Old Weir|Pinecrest|Port Ellery|Ravensworth|Redcliff|"
     "Rosedale|Saltmarsh|Sandford|Silverdale|South Reach|Stonebridge|Thornbury|Upper Wick|Wells Cross|Westerby|Whitcombe|"
     "Willowdale|Winterbourne|Wrenfield"},
    {"trade",
     "apprentice|architect|baker|banker|barber|blacksmith|bookkeeper|botanist|brewer|builder|butcher|captain|carpenter|"
     "cartographer|chemist|clerk|cobbler|conductor|cook|cooper|curator|dentist|doctor|draughtsman|driver|editor|engineer|"
     "farmer|ferryman|fisherman|gardener|geologist|glazier|grocer|guide|harbour master|innkeeper|inspector|journalist|"
     "judge|landlord|lawyer|lecturer|librarian|locksmith|mason|mechanic|merchant|midwife|miller|miner|musician|notary|"
     "nurse|painter|pharmacist|photographer|pilot|plumber|poet|postman|potter|printer|publisher|sailor|schoolteacher|"
     "sculptor|secretary|shepherd|shopkeeper|signalman|stonecutter|student|surgeon|surveyor|tailor|tanner|trader|"
     "translator|watchmaker|weaver|widow"},
    {"group",
     "apprentices|builders|children|citizens|clerks|cousins|farmers|fishermen|gardeners|guests|labourers|lodgers|"
     "merchants|miners|musicians|neighbours|nurses|officials|older residents|passengers|porters|pupils|sailors|scholars|"
     "shopkeepers|soldiers|students|teachers|tenants|tourists|travellers|villagers|visitors|volunteers|weavers|workers"},
    {"kin", "aunt|brother|cousin|daughter|father|grandfather|grandmother|mother|nephew|niece|sister|son|uncle"},
    {"thing",
     "album|almanac|armchair|atlas|bag|balance|barometer|basket|bell|bench|bicycle|blanket|book|bookcase|bottle|bowl|box|"
     "bracelet|bucket|cabinet|calendar|camera|candle|canvas|carpet|carriage|case|catalogue|chair|chart|chest|clock|coat|"
     "coin|compass|cupboard|curtain|desk|diary|dictionary|drawing|dress|drum|engine|engraving|envelope|flute|frame|"
     "furnace|glass|globe|hammer|handbook|hat|instrument|jar|journal|kettle|knife|ladder|lamp|lantern|ledger|letter|loom|"
     "lute|machine|manual|manuscript|map|medal|microscope|mirror|model|mould|newspaper|notebook|novel|oar|oven|package|"
     "painting|pamphlet|parcel|photograph|piano|picture|pipe|plate|plough|poem|portrait|postcard|print|pump|quilt|"
     "record book|ring|rope|rug|saddle|sail|saw|scale|screen|sculpture|shawl|shelf|sketch|spade|spoon|stamp|statue|stove|"
     "suitcase|survey|sword|table|tapestry|telescope|thermometer|ticket|timetable|tool|tray|trumpet|trunk|typewriter|"
     "umbrella|vase|violin|wardrobe|watch|wheel|wheelbarrow|whistle|workbench"},
    {"things",
     "account books|apples|barrels|beams|blankets|blossoms|boots|boxes|bricks|buttons|candles|chairs|coins|copper pipes|"
     "crates|drawings|eggs|flags|flowerpots|glass jars|hedges|horses|lamps|letters|loaves|maps|nets|old tools|paint pots|"
     "pears|photographs|planks|plates|potatoes|ropes|sacks of flour|sails|seeds|sheep|shutters|spare parts|stamps|stones|"
     "tickets|tiles|timbers|vegetables|wagons|wool blankets"},
    {"building",
     "almshouse|archive|bakery|bank|barn|bathhouse|boarding house|boathouse|brewery|bridge|cathedral|chapel|church|clinic|"
     "college|concert hall|cottage|courthouse|customs house|dairy|factory|farmhouse|fire station|foundry|gallery|granary|"
     "greenhouse|guest house|hospital|hotel|inn|library|lighthouse|market hall|mill|monastery|museum|observatory|orchard|"
     "paper mill|pavilion|post office|power station|printing works|railway station|reading room|sawmill|school|shipyard|"
     "signal box|stable|tavern|theatre|town hall|warehouse|watchtower|windmill|workshop"},
    {"landscape",
     "bay|beach|canal|cliff|coast|common|cove|dune|estuary|field|ford|forest|garden|gorge|harbour|headland|heath|hill|"
     "island|lagoon|lake|lane|marsh|meadow|moor|mountain|park|pasture|path|plain|pond|quarry|ravine|ridge|river|road|"
     "shore|slope|spring|square|stream|track|valley|village green|waterfall|wood"},
    {"idea",
     "accident|advice|agreement|ambition|anniversary|argument|arrangement|ceremony|claim|comparison|complaint|concert|"
     "contract|custom|debate|decision|delay|discovery|dispute|doubt|election|error|estimate|exhibition|experiment|"
     "explanation|festival|flood|forecast|harvest|history|holiday|idea|illness|incident|inquiry|inspection|invention|"
     "investment|journey|lecture|lesson|marriage|meeting|method|mistake|negotiation|objection|opinion|performance|"
     "petition|plan|play|policy|practice|project|promise|proposal|puzzle|question|quarrel|reform|regulation|remedy|report|"
     "request|reward|rumour|scheme|season|sermon|strike|study|suggestion|tradition|treaty|trial|verdict|visit|voyage|"
     "warning|winter"},
    {"stuff",
     "bread|brick|butter|canvas|cheese|clay|cloth|coal|coffee|copper|cotton|fish|flour|fruit|glass|grain|hay|honey|ink|"
     "iron|lace|leather|linen|marble|milk|oil|paper|pottery|rice|rope|salt|sand|silk|silver|slate|soap|spice|steel|sugar|"
     "tea|timber|tin|tobacco|wax|wheat|wine|wool"},
    {"material",
     "brass|brick|bronze|canvas|clay|copper|cotton|felt|glass|ivory|iron|lace|leather|linen|marble|oak|paper|pine|plaster|"
     "porcelain|sandstone|silk|silver|slate|steel|straw|tin|velvet|walnut|wicker|wool"},
    {"adj",
     "abandoned|ancient|awkward|battered|beautiful|blue|borrowed|bright|brittle|broad|broken|brown|cheap|clean|clever|"
     "clumsy|coarse|cold|common|costly|crooked|curious|damaged|damp|dark|delicate|dim|distant|dry|dull|dusty|elegant|"
     "empty|enormous|excellent|faded|famous|fine|flat|foreign|forgotten|fragile|fresh|gentle|golden|graceful|grand|green|"
     "grey|half-finished|handsome|heavy|hidden|hollow|huge|humble|imported|iron|large|little|local|lonely|long|low|"
     "magnificent|massive|modern|modest|mysterious|narrow|neat|neglected|new|noisy|odd|old|ordinary|ornate|painted|pale|"
     "patient|peculiar|plain|pleasant|polished|poor|precious|quiet|rare|red|remote|rough|round|ruined|rusty|sensible|"
     "shabby|shallow|sharp|simple|slender|small|smooth|solid|splendid|square|steep|stiff|strange|sturdy|tall|tattered|"
     "thick|thin|tidy|tiny|unusual|useful|valuable|warm|well-made|white|wide|wooden|worn|yellow"},
    {"mood",
     "amused|angry|anxious|ashamed|astonished|bored|calm|careful|cautious|cheerful|confident|confused|content|curious|"
     "delighted|determined|disappointed|doubtful|eager|embarrassed|exhausted|frightened|grateful|hopeful|hungry|impatient|"
     "indifferent|jealous|lonely|nervous|optimistic|pleased|polite|proud|puzzled|relieved|restless|sceptical|silent|"
     "sleepy|stubborn|suspicious|sympathetic|thoughtful|tired|uncertain|unconvinced|uneasy|weary|worried"},
    {"state",
     "available again|badly lit|beyond repair|built of local stone|closed for the winter|cold even in summer|"
     "covered with dust|crowded from morning to night|difficult to find|empty for most of the year|famous in the district|"
     "far too expensive|full of {things}|good enough for daily use|hardly worth mentioning|heavier than it looked|"
     "hidden behind a curtain|in good order|in need of repair|known to every child in {town}|"
     "less important than people believed|locked at night|lost for many years|made of {material}|much older than the rest|"
     "nearly forgotten|no longer in use|not for sale|older than the {building}|open to visitors|out of date|"
     "painted {colour}|quite ordinary|rather small|ready before {month}|repaired more than once|smaller than expected|"
     "surrounded by {things}|the best in the county|the pride of the town|too large for the room|too narrow for wagons|"
     "under water every spring|used only on Sundays|worth a great deal|worth the long walk"},
    {"colour", "black|blue|brown|cream|dark green|dark red|green|grey|pale blue|pale yellow|red|white|yellow"},
    {"adv",
     "accidentally|again|at last|badly|bravely|briefly|calmly|carefully|cheerfully|cleverly|completely|curiously|eagerly|"
     "easily|eventually|exactly|faithfully|firmly|frequently|gently|gladly|gradually|happily|hastily|honestly|immediately|"
     "in secret|kindly|later|loudly|more than once|never|nervously|often|openly|patiently|perfectly|politely|promptly|"
     "proudly|quickly|quietly|rarely|reluctantly|seldom|silently|simply|slowly|soon|steadily|suddenly|thoroughly|twice|"
     "usually|warmly|willingly|without warning"},
    {"vt",
     "accepted|admired|altered|arranged for|asked about|avoided|bought|borrowed|brought|carried|chose|cleaned|collected|"
     "compared|complained about|copied|counted|covered|decorated|defended|delivered|described|designed|discovered|"
     "discussed|displayed|drew|enjoyed|envied|examined|exchanged|explained|filled|finished|followed|forgot|found|guarded|"
     "hid|identified|ignored|improved|inherited|inspected|insured|invented|investigated|kept|laughed at|lent|lifted|"
     "looked after|lost|made|measured|mended|mentioned|missed|moved|named|needed|noticed|objected to|offered|ordered|"
     "owned|packed|paid for|painted|photographed|placed|polished|praised|preserved|pretended to like|prepared|protected|"
     "pulled|purchased|reached|rebuilt|recognised|recommended|refused|rejected|relied on|remembered|removed|rented|"
     "repaired|replaced|reported|requested|restored|returned|saved|searched for|selected|sent|showed|sketched|sold|stored|"
     "studied|talked about|tested|took|trusted|valued|visited|waited for|wanted|washed|watched|weighed|welcomed|wrapped|"
     "wrote about"},
    {"vi",
     "arrived|became ill|began again|changed trains|climbed the stairs|disagreed|fell asleep|grew up|hesitated|"
     "hurried home|laughed|left early|listened|lived alone|lost the way|made no reply|met|moved away|nodded|paused|"
     "read until midnight|remained|rested|returned|sat down|settled|sheltered from the rain|slept badly|smiled|"
     "spent the summer|spoke for an hour|spoke little|stayed|stood|stopped|studied|talked until late|took a walk|"
     "told stories|travelled|turned back|waited|walked|went out|whistled|woke|worked|wrote letters"},
    {"vthink",
     "agreed|announced|argued|assumed|believed|claimed|complained|concluded|declared|denied|dreamed|explained|feared|felt|"
     "forgot|guessed|heard|hoped|imagined|insisted|knew|learned|maintained|mentioned|noticed|pointed out|predicted|"
     "promised|proved|read|realised|remarked|remembered|reported|said|saw|stated|suspected|swore|thought|understood|"
     "warned|wrote"},
    {"vsay",
     "admitted|announced|answered|argued|called|complained|cried|declared|explained|insisted|muttered|objected|remarked|"
     "repeated|replied|said|shouted|told the {group}|whispered|wrote"},
    {"vto",
     "agreed|asked|chose|decided|expected|forgot|happened|hesitated|hoped|intended|learned|managed|offered|planned|"
     "preferred|prepared|pretended|promised|refused|tried|volunteered|wanted|wished"},
    {"inf",
     "answer the letter|begin again|borrow the {thing}|bring the {things}|buy {a} {adj} {thing}|"
     "carry the {thing} to the {building}|clean the {building}|collect the {things}|compare the {thing} with the old one|"
     "draw the {building}|explain the {idea}|finish the {thing}|hang the {thing} in the hall|leave {town}|"
     "learn a second language|look for the {thing}|look for work|mend the {thing}|move the {things}|"
     "open the {building} to visitors|pay for the {thing}|read the {thing}|repair the roof|return before dark|"
     "say nothing about the {idea}|sell the {building}|sell the {things}|send the {thing} to {town}|sleep for {an_hour}|"
     "speak about the {idea}|stay until {month}|take the early train|teach at the school|travel to {town}|"
     "visit the {landscape}|wait for the {trade}|walk to the {landscape}|write to the {trade}|write a book about {town}"},
    {"an_hour", "an hour|a few hours|{numword} hours|a whole day|the rest of the day"},
    {"month", "January|February|March|April|May|June|July|August|September|October|November|December"},
    {"weekday", "Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday"},
    {"season", "spring|summer|autumn|winter"},
};

}  // namespace

std::span<const GrammarRule> prose_words() {
  return kWords;
}

}  // namespace namm::tasks
