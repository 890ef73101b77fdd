// Who sees what, and whose cell is whose, as far as the masks tell.
#include "adapters/llama_cpp/store/batch_plan.hpp"

#include "kernels/ragged_attention.hpp"
#include "tests/check.hpp"
#include "tests/llama/mask.hpp"

using namespace namm::llama;
using namespace namm::test;
using Ints = std::vector<std::int32_t>;

TEST_CASE("plan_batch: causal chunks of one sequence", "[llama][plan]") {
  CellMap cells;
  Mask first(3, 8);
  first.causal({0, 1, 2});
  const BatchPlan a = plan_batch(first.view(), Ints{0, 1, 2}, cells);
  REQUIRE(a.groups.size() == 1);
  CHECK(a.reused.empty());
  CHECK(a.groups[0].queries == Ints{0, 1, 2});
  CHECK(a.groups[0].cells == Ints{0, 1, 2});
  CHECK(a.groups[0].positions == Ints{0, 1, 2});
  CHECK(a.groups[0].dense.empty());
  for (int c = 0; c < 3; ++c) {
    CHECK(a.groups[0].first[c] == c);
    CHECK(a.groups[0].last[c] == 2);
  }
  CHECK(a.groups[0].first[3] == namm::kernels::kNever);
  CHECK(a.groups[0].last[3] == -1);

  Mask second(2, 8);  // cells out of order: a ring that wrapped around
  second.causal({7, 3}, {0, 1, 2});
  const BatchPlan b = plan_batch(second.view(), Ints{7, 3}, cells);
  REQUIRE(b.groups.size() == 1);
  CHECK(b.groups[0].sequence == a.groups[0].sequence);
  CHECK(b.groups[0].positions == Ints{3, 4});
  CHECK(b.groups[0].first[0] == 0);
  CHECK(b.groups[0].last[0] == 1);
  CHECK(b.groups[0].first[3] == 1);
  CHECK(b.groups[0].first[7] == 0);
}

TEST_CASE("plan_batch: two sequences in one batch", "[llama][plan]") {
  const bool interleaved = GENERATE(false, true);
  const Ints of_a = interleaved ? Ints{0, 2, 4} : Ints{0, 1, 2}, of_b = interleaved ? Ints{1, 3} : Ints{3, 4};
  CellMap cells;
  for (int round = 0; round < 2; ++round) {
    Mask mask(5, 16);
    Ints written(5), cells_a, cells_b, before_a, before_b;
    for (int q = 0; q < 5; ++q) written[q] = round * 5 + q;
    for (const int q : of_a) cells_a.push_back(written[q]);
    for (const int q : of_b) cells_b.push_back(written[q]);
    if (round == 1) {
      for (const int q : of_a) before_a.push_back(q);
      for (const int q : of_b) before_b.push_back(q);
    }
    mask.causal_rows(of_a, cells_a, before_a);
    mask.causal_rows(of_b, cells_b, before_b);
    const BatchPlan plan = plan_batch(mask.view(), written, cells);
    REQUIRE(plan.groups.size() == 2);
    CHECK(plan.groups[0].queries == of_a);
    CHECK(plan.groups[1].queries == of_b);
    CHECK(plan.groups[0].sequence != plan.groups[1].sequence);
    CHECK(plan.groups[1].positions == Ints{2 * round, 2 * round + 1});
    CHECK(plan.groups[0].dense.empty());
    CHECK(plan.groups[0].first[cells_a[1]] == 1);
    CHECK(plan.groups[0].last[cells_a[1]] == 2);
    CHECK(plan.groups[0].last[cells_b[0]] == -1);
    CHECK(plan.groups[1].first[cells_b[1]] == 1);
    CHECK(plan.groups[1].last[cells_a[0]] == -1);
  }
}

TEST_CASE("plan_batch: cells written again leave their former owner", "[llama][plan]") {
  CellMap cells;
  Mask first(3, 4);
  first.causal({0, 1, 2});
  const std::int32_t old_owner = plan_batch(first.view(), Ints{0, 1, 2}, cells).groups[0].sequence;
  Mask second(2, 4);  // a new sequence in cells 1 and 3
  second.causal({1, 3});
  const BatchPlan plan = plan_batch(second.view(), Ints{1, 3}, cells);
  REQUIRE(plan.reused.size() == 1);
  CHECK(plan.reused[0] == std::pair<std::int32_t, std::int32_t>{old_owner, 1});
  REQUIRE(plan.groups.size() == 1);
  CHECK(plan.groups[0].sequence != old_owner);
  CHECK(plan.groups[0].positions == Ints{0, 1});
  CHECK(cells.owner[0] == old_owner);
  CHECK(cells.owner[1] == plan.groups[0].sequence);
}

TEST_CASE("plan_batch: sliding windows are intervals, other masks are kept query by query", "[llama][plan]") {
  CellMap cells;
  Mask window(6, 8);
  for (int q = 0; q < 6; ++q)
    for (int c = std::max(0, q - 2); c <= q; ++c) window.see(q, c);
  const BatchPlan plan = plan_batch(window.view(), Ints{0, 1, 2, 3, 4, 5}, cells);
  REQUIRE(plan.groups.size() == 1);
  CHECK(plan.groups[0].dense.empty());
  for (int c = 0; c < 6; ++c) {
    CHECK(plan.groups[0].first[c] == c);
    CHECK(plan.groups[0].last[c] == std::min(5, c + 2));
  }
  Mask holes(3, 8);
  holes.causal({6, 7, 0}, {1, 2, 3, 4, 5});
  holes.hide(1, 3);  // seen before and after
  const BatchPlan odd = plan_batch(holes.view(), Ints{6, 7, 0}, cells);
  REQUIRE(odd.groups.size() == 1);
  REQUIRE(odd.groups[0].dense.size() == 3 * 8);
  for (int q = 0; q < 3; ++q)
    for (int c = 0; c < 8; ++c) CHECK((odd.groups[0].dense[q * 8 + c] != 0) == holes.sees(q, c));
}

TEST_CASE("plan_batch: a query that sees two sequences is refused", "[llama][plan]") {
  CellMap cells;
  Mask first(2, 4);
  first.see(0, 0);
  first.see(1, 1);
  CHECK(plan_batch(first.view(), Ints{0, 1}, cells).groups.size() == 2);
  Mask both(1, 4);
  both.causal({2}, {0, 1});
  CHECK_THROWS_AS(plan_batch(both.view(), Ints{2}, cells), std::runtime_error);
}

TEST_CASE("plan_batch: a sequence whose end was removed goes on from there", "[llama][plan]") {
  CellMap cells;
  cells.cuts = true;
  Mask first(4, 8);
  first.causal({0, 1, 2, 3});
  plan_batch(first.view(), Ints{0, 1, 2, 3}, cells);
  Mask second(2, 8);
  second.causal({4, 5}, {0, 1});
  SECTION("in a batch of its own") {
    cells.before.clear();
    const BatchPlan plan = plan_batch(second.view(), Ints{4, 5}, cells);
    REQUIRE(plan.reused.size() == 2);  // cells 2 and 3
    CHECK(plan.groups[0].positions == Ints{2, 3});
    CHECK(cells.branched.empty());
  }
  SECTION("in the same batch nothing was removed: it is a branch") {
    const BatchPlan plan = plan_batch(second.view(), Ints{4, 5}, cells);
    CHECK(plan.reused.empty());
    CHECK(plan.groups[0].positions == Ints{4, 5});
    CHECK(cells.branched.size() == 1);
  }
  SECTION("nor of one that was copied") {
    cells.before.clear();
    cells.branched.insert(0);
    CHECK(plan_batch(second.view(), Ints{4, 5}, cells).reused.empty());
  }
}
