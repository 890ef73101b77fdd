#include "adapters/llama_cpp/store/row_slots.hpp"

#include <memory>
#include <span>
#include <vector>

#include "adapters/llama_cpp/device/row_types.hpp"
#include "adapters/llama_cpp/store/head_list.hpp"
#include "base/bytes.hpp"
#include "tests/check.hpp"

using namespace namm::llama;
using Numbers = std::vector<std::int32_t>;

namespace {

Numbers cells_of(const RowSlots& slots) {
  return {slots.cells().begin(), slots.cells().end()};
}

}  // namespace

TEST_CASE("the lowest free slots are taken first", "[device][slots]") {
  const auto slots = std::make_shared<RowSlots>();
  RowLease list(slots);
  list.take(Numbers{7, 2, 5});
  list.release(Numbers{2});
  CHECK(cells_of(*slots) == Numbers{7, RowSlots::kFree, 5});
  list.take(Numbers{9, 4});
  CHECK(cells_of(*slots) == Numbers{7, 9, 5, 4});
  CHECK(slots->slot_of(9) == 1);
  CHECK(slots->used() == 4);
  CHECK_THROWS(list.take(Numbers{5}));
}

TEST_CASE("slots behind the last in use are given up", "[device][slots]") {
  const auto slots = std::make_shared<RowSlots>();
  RowLease list(slots);
  list.take(Numbers{0, 1, 2, 3});
  list.release(Numbers{2});
  CHECK(slots->cells().size() == 4);
  list.release(Numbers{3});
  CHECK(cells_of(*slots) == Numbers{0, 1});
}

TEST_CASE("a list that goes gives its slots back, others keep theirs", "[device][slots]") {
  const auto slots = std::make_shared<RowSlots>();
  RowLease first(slots);
  first.take(Numbers{0, 1});
  {
    RowLease second(slots);
    second.take(Numbers{10, 11});
    RowLease moved(std::move(second));
    CHECK(slots->used() == 4);
    moved.release(Numbers{10});
  }
  CHECK(cells_of(*slots) == Numbers{0, 1});
  RowLease other;
  CHECK_FALSE(other);
  other = std::move(first);
  CHECK(other);
  CHECK(slots->used() == 2);
}

TEST_CASE("lists of two streams count their own cells", "[device][slots]") {
  const auto slots = std::make_shared<RowSlots>();
  RowLease first(slots), second(slots, 100);
  first.take(Numbers{0, 1});
  second.take(Numbers{0, 1});
  CHECK(cells_of(*slots) == Numbers{0, 1, 100, 101});
  CHECK(second.slot_of(1) == 3);
  second = RowLease(std::move(second));
  second.release(Numbers{0});
  CHECK(cells_of(*slots) == Numbers{0, 1, RowSlots::kFree, 101});
}

TEST_CASE("restored rows of a device must be finite: others are multiplied with them", "[device][slots]") {
  for (const std::uint16_t half : std::vector<std::uint16_t>{0x3c00, 0x7c00, 0xfe00}) {  // 1, infinity, not a number
    const auto slots = std::make_shared<RowSlots>();
    const auto list = [&] { return HeadList(4, 4, {}, RowLease(slots), std::make_shared<PageRegion>()); };
    HeadList saved = list();
    saved.append(Numbers{0, 1}, Numbers{0, 1}, {}, {});
    const auto rows = [&](std::span<const std::int32_t> held) {
      std::vector<std::uint16_t> halves(held.size() * 8, 0x3c00);
      halves.back() = half;
      const auto bytes = std::as_bytes(std::span(halves));
      return std::vector<std::byte>(bytes.begin(), bytes.end());
    };
    namm::ByteWriter size;
    saved.save(size, Numbers{0, 1}, rows);
    std::vector<std::byte> state(size.count());
    namm::ByteWriter out(state);
    saved.save(out, Numbers{0, 1}, rows);
    namm::ByteReader in(state);
    HeadList restored = list();
    const HeldRows held{16, [](std::span<const std::byte> all) { return is_finite_row(GGML_TYPE_F16, all); }};
    if (half == 0x3c00)
      CHECK_NOTHROW(restored.restore(in, 2, held));
    else
      CHECK_THROWS_WITH(restored.restore(in, 2, held), Catch::Contains("must be finite"));
  }
}

TEST_CASE("gaps are closed in the order of slots", "[device][slots]") {
  const auto slots = std::make_shared<RowSlots>();
  RowLease list(slots);
  list.take(Numbers{3, 4, 5, 6, 7});
  list.release(Numbers{3, 6});
  CHECK(slots->in_use() == Numbers{1, 2, 4});
  slots->close_gaps();
  CHECK(cells_of(*slots) == Numbers{4, 5, 7});
  CHECK(slots->slot_of(7) == 2);
  list.take(Numbers{6});
  CHECK(cells_of(*slots) == Numbers{4, 5, 7, 6});
}
