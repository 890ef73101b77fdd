#include "tasks/needles.hpp"

#include <iterator>

namespace namm::tasks {
namespace {

constexpr std::string_view kKeyWords[] = {
    "acorn",   "alley",   "almond",  "amber",   "anchor",  "angle",   "ankle",   "anvil",   "apple",   "apron",    "arch",
    "armor",   "arrow",   "attic",   "autumn",  "badge",   "bakery",  "ball",    "bamboo",  "banana",  "banner",   "barn",
    "barrel",  "basin",   "basket",  "beach",   "beacon",  "bead",    "beak",    "beam",    "bean",    "bear",     "beaver",
    "bell",    "belt",    "bench",   "berry",   "birch",   "bird",    "blade",   "blanket", "bloom",   "board",    "boat",
    "bolt",    "bone",    "book",    "boot",    "border",  "bottle",  "bowl",    "branch",  "brass",   "bread",    "breeze",
    "brick",   "bridge",  "bronze",  "brook",   "broom",   "brush",   "bucket",  "buckle",  "butter",  "button",   "cabin",
    "cable",   "cactus",  "cake",    "camel",   "camp",    "canal",   "candle",  "canoe",   "canvas",  "canyon",   "cape",
    "carbon",  "card",    "cargo",   "carpet",  "carrot",  "cart",    "castle",  "cedar",   "cellar",  "chain",    "chair",
    "chalk",   "cherry",  "chest",   "chimney", "circle",  "clay",    "cliff",   "clock",   "cloth",   "cloud",    "clover",
    "coast",   "cobalt",  "coffee",  "coin",    "collar",  "comet",   "copper",  "coral",   "cork",    "corn",     "corner",
    "cotton",  "crab",    "crane",   "crayon",  "creek",   "crest",   "crow",    "crown",   "crystal", "cup",      "curtain",
    "dagger",  "dairy",   "daisy",   "dancer",  "dawn",    "deer",    "delta",   "desert",  "desk",    "diamond",  "dish",
    "dolphin", "door",    "dove",    "dragon",  "drawer",  "dream",   "drum",    "duck",    "dune",    "dust",     "eagle",
    "earth",   "echo",    "egg",     "elbow",   "elm",     "ember",   "emerald", "engine",  "falcon",  "farm",     "feather",
    "fence",   "fern",    "ferry",   "fiddle",  "field",   "fig",     "finger",  "fire",    "fish",    "flag",     "flame",
    "flask",   "fleet",   "flint",   "flower",  "flute",   "fog",     "forest",  "forge",   "fork",    "fossil",   "fountain",
    "fox",     "frame",   "frog",    "frost",   "fruit",   "galaxy",  "garden",  "garlic",  "gate",    "gem",      "ginger",
    "glacier", "glass",   "globe",   "glove",   "goat",    "gold",    "goose",   "grain",   "granite", "grape",    "grass",
    "gravel",  "grove",   "guitar",  "gull",    "hammer",  "harbor",  "harp",    "harvest", "hat",     "hawk",     "hazel",
    "hedge",   "helmet",  "herb",    "heron",   "hill",    "hinge",   "honey",   "hook",    "horn",    "horse",    "ice",
    "igloo",   "ink",     "iron",    "island",  "ivory",   "ivy",     "jacket",  "jade",    "jar",     "jasmine",  "jewel",
    "jungle",  "kayak",   "kettle",  "key",     "kite",    "kitten",  "knife",   "knot",    "ladder",  "lagoon",   "lake",
    "lamp",    "lantern", "lark",    "lawn",    "leaf",    "leather", "lemon",   "lens",    "lever",   "lilac",    "lily",
    "lime",    "linen",   "lion",    "lizard",  "lobster", "lock",    "locket",  "log",     "loom",    "lotus",    "magnet",
    "mango",   "maple",   "marble",  "market",  "marsh",   "mask",    "mast",    "meadow",  "medal",   "melon",    "metal",
    "mill",    "mint",    "mirror",  "mist",    "mitten",  "moon",    "moss",    "moth",    "motor",   "mountain", "mouse",
    "muffin",  "mule",    "mustard", "nail",    "napkin",  "needle",  "nest",    "nickel",  "night",   "noodle",   "nutmeg",
    "oak",     "oasis",   "oat",     "ocean",   "olive",   "onion",   "opal",    "orange",  "orchard", "orchid",   "otter",
    "oven",    "owl",     "oyster",  "paddle",  "page",    "paint",   "palace",  "palm",    "panda",   "paper",    "parrot",
    "pasture", "path",    "peach",   "peanut",  "pear",    "pearl",   "pebble",  "pencil",  "pepper",  "petal",    "piano",
    "pigeon",  "pillow",  "pine",    "pipe",    "planet",  "plate",   "plum",    "pocket",  "pond",    "poplar",   "poppy",
    "port",    "potato",  "prairie", "prism",   "puddle",  "pump",    "puppet",  "quartz",  "quill",   "quilt",    "rabbit",
    "radar",   "radio",   "rail",    "rain",    "rainbow", "raven",   "reef",    "ribbon",  "rice",    "ridge",    "ring",
    "river",   "road",    "robin",   "rocket",  "roof",    "root",    "rope",    "rose",    "ruby",    "rudder",   "saddle",
    "sail",    "salmon",  "salt",    "sand",    "satin",   "scale",   "scarf",   "seal",    "seed",    "shadow",   "shark",
    "shell",   "shield",  "ship",    "shore",   "shovel",  "silk",    "silver",  "slate",   "sled",    "smoke",    "snail",
    "snow",    "soap",    "spark",   "sparrow", "spice",   "spider",  "spoon",   "spring",  "spruce",  "squash",   "stable",
    "star",    "steam",   "steel",   "stone",   "storm",   "stove",   "stream",  "sugar",   "summer",  "sun",      "swan",
    "table",   "tail",    "temple",  "tent",    "thistle", "thorn",   "thread",  "thunder", "tiger",   "tile",     "timber",
    "tin",     "torch",   "tower",   "trail",   "train",   "trout",   "trumpet", "tulip",   "tunnel",  "turtle",   "valley",
    "vase",    "velvet",  "vessel",  "village", "vine",    "violet",  "violin",  "wagon",   "wall",    "walnut",   "water",
    "wave",    "whale",   "wheat",   "wheel",   "whistle", "willow",  "window",  "winter",  "wolf",    "wood",     "wool",
};

}  // namespace

Split split_of_needle(std::string_view needle) {
  return static_cast<Split>(hash_text(needle) % 3);
}

std::span<const std::string_view> key_words() {
  return kKeyWords;
}

std::string draw_number(Rng& rng, Split split, int digits) {
  std::uint64_t low = 1;
  for (int i = 1; i < digits; ++i) low *= 10;
  for (;;) {
    std::string number = std::to_string(rng.between(low, low * 10 - 1));
    if (split_of_needle(number) == split) return number;
  }
}

std::string draw_word(Rng& rng, Split split) {
  for (;;) {
    const std::string_view word = kKeyWords[rng.below(std::size(kKeyWords))];
    if (split_of_needle(word) == split) return std::string(word);
  }
}

std::string draw_word_pair(Rng& rng, Split split) {
  for (;;) {
    const std::string_view left = kKeyWords[rng.below(std::size(kKeyWords))];
    const std::string_view right = kKeyWords[rng.below(std::size(kKeyWords))];
    if (left == right) continue;
    std::string pair = std::string(left) + "-" + std::string(right);
    if (split_of_needle(pair) == split) return pair;
  }
}

std::string draw_uuid(Rng& rng, Split split) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  for (;;) {
    std::string uuid;
    for (std::size_t i = 0; i < 36; ++i) {
      if (i == 8 || i == 13 || i == 18 || i == 23)
        uuid += '-';
      else if (i == 14)
        uuid += '4';
      else
        uuid += kDigits[i == 19 ? 8 + rng.below(4) : rng.below(16)];
    }
    if (split_of_needle(uuid) == split) return uuid;
  }
}

std::string draw_letters(Rng& rng, Split split, std::size_t letters, char first) {
  for (;;) {
    std::string word;
    for (std::size_t i = 0; i < letters; ++i) word += static_cast<char>(first + static_cast<char>(rng.below(26)));
    if (split_of_needle(word) == split) return word;
  }
}

}  // namespace namm::tasks
