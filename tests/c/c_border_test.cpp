// One handle in several threads: calls wait for each other, and a thread's errors are its own.
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "core/policy_file.hpp"
#include "namm/namm.h"
#include "tests/check.hpp"
#include "tests/support/folder.hpp"

TEST_CASE("rows that nobody reads may be missing", "[c]") {
  namm_policy* policy = nullptr;
  REQUIRE(namm_policy_load("streaming", &policy) == NAMM_OK);
  REQUIRE(namm_policy_set_budget(policy, "20") == NAMM_OK);
  const namm_layer layer = {0, 1, 4, 4, 0};
  namm_sequence* sequence = nullptr;
  REQUIRE(namm_sequence_create(policy, &layer, 1, 2, &sequence) == NAMM_OK);
  const std::int32_t position = 0;
  REQUIRE(namm_sequence_append(sequence, 0, 1, &position, nullptr, 0, nullptr, 0) == NAMM_OK);
  REQUIRE(namm_sequence_observe(sequence, 0, 0, 1, nullptr, 0, 0) == NAMM_OK);
  REQUIRE(namm_sequence_observe(sequence, 0, 1, 1, nullptr, 0, 0) == NAMM_INVALID_ARGUMENT);  // there is no such head
  namm_sequence_free(sequence);
  namm_policy_free(policy);
}

TEST_CASE("policies are read from either form, and damaged ones refused with a sentence", "[c]") {
  const namm::test::Folder folder;
  const std::string file = folder / "policy.safetensors";
  namm::save_policy_file(file, namm::resolve_policy("default"));
  namm_policy* policy = nullptr;
  REQUIRE(namm_policy_load(file.c_str(), &policy) == NAMM_OK);
  namm_needs needs = {};
  needs.size = sizeof needs;
  REQUIRE(namm_policy_needs(policy, &needs) == NAMM_OK);
  CHECK(needs.attention == 1);
  namm_policy_free(policy);
  policy = nullptr;
  std::filesystem::resize_file(file, std::filesystem::file_size(file) - 1);
  CHECK(namm_policy_load(file.c_str(), &policy) == NAMM_FAILED);
  CHECK(policy == nullptr);
  CHECK(std::string(namm_last_error()).find("data_offsets must be ascending and within the") != std::string::npos);
}

TEST_CASE("a runtime is told how a policy's file holds keys and values, in either form", "[c]") {
  const namm::test::Folder folder;
  for (const char* store : {"f16", "q8_0", "q8_0,q4_0", "f16+4means"}) {
    for (const char* name : {"policy.json", "policy.safetensors"}) {
      const std::string file = folder / name;
      namm::PolicyFile made = namm::resolve_policy("default");
      made.store = namm::parse_row_formats(store);
      namm::save_policy_file(file, made);
      namm_policy* policy = nullptr;
      REQUIRE(namm_policy_load(file.c_str(), &policy) == NAMM_OK);
      REQUIRE(namm_policy_set_budget(policy, "20") == NAMM_OK);
      CHECK(std::string(namm_policy_store(policy)) == store);
      namm_policy_free(policy);
    }
  }
  CHECK(namm_policy_store(nullptr) == nullptr);
}

TEST_CASE("a handle is shared by threads", "[c]") {
  namm_policy* policy = nullptr;
  REQUIRE(namm_policy_load("h2o", &policy) == NAMM_OK);
  REQUIRE(namm_policy_set_budget(policy, "20") == NAMM_OK);
  namm_layer layers[4];
  for (std::int32_t l = 0; l < 4; ++l) layers[l] = {l, 1, 4, 4, 0};
  namm_sequence* sequence = nullptr;
  REQUIRE(namm_sequence_create(policy, layers, 4, 2, &sequence) == NAMM_OK);
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (std::int32_t l = 0; l < 4; ++l)
    threads.emplace_back([&, l] {
      for (std::int32_t p = 0; p < 200; ++p) {
        const std::vector<float> row(static_cast<std::size_t>(p) + 1, 1.0f / static_cast<float>(p + 1));
        wrong += namm_sequence_append(sequence, l, 1, &p, nullptr, 0, nullptr, 0) != NAMM_OK;
        wrong += namm_sequence_observe(sequence, l, 0, 1, row.data(), row.size(), p) != NAMM_OK;
        wrong += namm_sequence_observe(sequence, 10 + l, 0, 1, row.data(), row.size(), p) != NAMM_INVALID_ARGUMENT;
        wrong += std::string(namm_last_error()).find("is " + std::to_string(10 + l)) == std::string::npos;
      }
    });
  for (std::thread& thread : threads) thread.join();
  REQUIRE(wrong == 0);
  std::int64_t dropped = 0;
  REQUIRE(namm_sequence_update(sequence, &dropped) == NAMM_OK);
  REQUIRE(dropped == 4 * 180);
  namm_sequence_free(sequence);
  namm_policy_free(policy);
}
