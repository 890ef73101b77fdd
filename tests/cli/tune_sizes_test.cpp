#include "cli/tune/sizes.hpp"

#include "tests/check.hpp"

using namespace namm::cli;

TEST_CASE("what a tuning does fits into its time wherever it can, and more time is never less work") {
  for (const int compared : {0, 5, 14}) {
    const double least = tokens_of(sizes_within(0, compared), compared), most = tokens_of(TuneSizes(), compared);
    CHECK(least < most / 5);
    CHECK(sizes_within(0, compared).seeds == 0);
    double before = 0;
    bool evolved = false;
    for (double tokens = least; tokens < 1.1 * most; tokens *= 1.02) {
      const TuneSizes sizes = sizes_within(tokens, compared);
      const double needed = tokens_of(sizes, compared);
      CAPTURE(compared, tokens, sizes.texts, sizes.seeds, sizes.generations, sizes.validation, sizes.test);
      CHECK(needed <= tokens);
      CHECK(needed >= before);
      CHECK(needed > 0.6 * tokens);  // and most of the time is used
      CHECK((sizes.seeds > 0 || !evolved));
      CHECK((sizes.seeds == 0) == (sizes.validation == 0));
      CHECK((sizes.seeds == 0) == (sizes.generations == 0));
      evolved = sizes.seeds > 0;
      before = needed;
    }
    CHECK(to_json(sizes_within(1.1 * most, compared)) == to_json(TuneSizes()));
  }
}

TEST_CASE("the sizes of a tuning come back from its file") {
  const TuneSizes sizes = sizes_within(3e5);
  CHECK(to_json(sizes_from_json(to_json(sizes))) == to_json(sizes));
}
