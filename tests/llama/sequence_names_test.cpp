// Which slot a sequence of the store is, as far as positions tell.
#include "adapters/llama_cpp/context/sequence_names.hpp"

#include "tests/check.hpp"

using namespace namm::llama;
using Shares = std::vector<namm::llama::BatchShare>;
using Advances = std::vector<Advance>;
using Keys = std::vector<std::int64_t>;

TEST_CASE("sequences of different lengths are told apart at once", "[llama]") {
  SequenceNames names;
  CHECK(names.learn(Advances{{0, -1, 9}, {2, -1, 4}}, Shares{{100, 0, 0, 9}, {101, 0, 0, 4}}, false).empty());
  CHECK(names.sequence_of(100) == 0);
  CHECK(names.sequence_of(101) == 2);
  CHECK(names.keys_of(2) == Keys{101});
  CHECK(names.keys_of(1).empty());
}

TEST_CASE("twins stay candidates until one goes on alone", "[llama]") {
  SequenceNames names;
  names.learn(Advances{{0, -1, 9}, {1, -1, 9}}, Shares{{100, 0, 0, 9}, {101, 0, 0, 9}}, false);
  CHECK(names.sequence_of(100) == -1);
  CHECK(names.keys_of(0) == Keys{100, 101});
  SECTION("by a batch") {
    CHECK(names.learn(Advances{{1, 9, 10}}, Shares{{100, 0, 10, 10}}, false).empty());
    CHECK(names.sequence_of(100) == 1);
    CHECK(names.sequence_of(101) == 0);
  }
  SECTION("one is removed: nothing is released before it is known which") {
    CHECK(names.remove(0).empty());
    CHECK(names.learn(Advances{{1, 9, 10}}, Shares{{101, 0, 10, 10}}, false) == Keys{100});
    CHECK(names.sequence_of(101) == 1);
  }
  SECTION("both are removed") {
    CHECK(names.remove(0).empty());
    CHECK(names.remove(1) == Keys{100, 101});
  }
}

TEST_CASE("with a stream each there are no twins", "[llama]") {
  SequenceNames names;
  names.learn(Advances{{0, -1, 9}, {1, -1, 9}}, Shares{{100, 1, 0, 9}, {101, 0, 0, 9}}, true);
  CHECK(names.sequence_of(100) == 1);
  CHECK(names.sequence_of(101) == 0);
}

TEST_CASE("a slot that begins anew leaves its former sequence behind", "[llama]") {
  SequenceNames names;
  names.learn(Advances{{3, -1, 9}}, Shares{{100, 0, 0, 9}}, false);
  CHECK(names.learn(Advances{{3, -1, 4}}, Shares{{101, 0, 0, 4}}, false) == Keys{100});
  CHECK(names.sequence_of(101) == 3);
}

TEST_CASE("positions that fit nobody lead to no conclusion", "[llama]") {
  SequenceNames names;
  names.learn(Advances{{0, -1, 9}}, Shares{{100, 0, 0, 9}}, false);
  CHECK(names.learn(Advances{{0, 99, 120}}, Shares{{100, 0, 10, 31}}, false).empty());
  CHECK(names.keys_of(0).empty());
  CHECK(names.remove(0).empty());  // its cells will be written again
}

TEST_CASE("branches end with the last of them", "[llama]") {
  SequenceNames names;
  names.learn(Advances{{0, -1, 9}, {3, -1, 4}}, Shares{{100, 0, 0, 9}, {101, 0, 0, 4}}, false);
  CHECK(names.copied(0, 1) == Keys{100});
  CHECK(names.sequence_of(100) == -1);
  CHECK(names.learn(Advances{{1, 9, 10}}, Shares{{100, 0, 10, 10}}, false).empty());  // not a sign that it is 1 alone
  CHECK(names.learn(Advances{{0, 9, 11}}, Shares{{100, 0, 11, 12}}, false).empty());  // positions of its own
  CHECK(names.candidates_of(100) == std::vector<std::int32_t>{0, 1});
  CHECK(names.copied(1, 2) == Keys{100});
  CHECK(names.remove(1).empty());
  CHECK(names.remove(0).empty());
  CHECK(names.keys_of(2) == Keys{100});
  CHECK(names.sequence_of(100) == 2);
  CHECK(names.remove(2) == Keys{100});
  CHECK(names.sequence_of(101) == 3);
}

TEST_CASE("a copied twin may be in either key", "[llama]") {
  SequenceNames names;
  names.learn(Advances{{0, -1, 9}, {1, -1, 9}}, Shares{{100, 0, 0, 9}, {101, 0, 0, 9}}, false);
  CHECK(names.copied(0, 2) == Keys{100, 101});
  CHECK(names.remove(0).empty());
  CHECK(names.remove(2).empty());
  CHECK(names.remove(1) == Keys{100, 101});
}

TEST_CASE("a sequence that went on in a broken batch is not taken from its key", "[llama][names]") {
  SequenceNames names;
  const bool branches = GENERATE(false, true);
  names.learn(Advances{{0, -1, 9}}, Shares{{100, 0, 0, 9}}, false);
  if (branches) names.copied(0, 1);
  // two parts read, of which one is left: the positions match nothing
  CHECK(names.learn(Advances{{0, 9, 19}}, Shares{}, false, Keys{100}).empty());
  CHECK(names.keys_of(0) == Keys{100});
  CHECK(names.learn(Advances{{0, 9, 19}, {1, 9, 19}}, Shares{}, false) == Keys{100});
}
