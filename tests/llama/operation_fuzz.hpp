#pragma once
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "adapters/llama_cpp/host/llama_model.hpp"
#include "namm/llama.hpp"

namespace namm::test {

/// What is attached to what.
struct FuzzKind {
  const char *architecture, *policy;
  int budget;                 ///< tokens; one that is never reached (1000) leaves everything as without a policy
  bool streams;               ///< a stream for each sequence, or one unified cache
  bool small = false;         ///< the cache of sliding windows is small: cells that left them are written again
  const char* store = "f16";  ///< another one does not give the numbers of a context without a policy
};

/// Whatever a program does to a context: random operations on an attached one and, side by side, on one without a policy.
class OperationFuzz {
 public:
  OperationFuzz(const llama::LlamaModel& model, const FuzzKind& kind, unsigned seed);
  /// One operation. Fails the test if it gives something else than without a policy, or is refused where it need not be.
  void step();
  /// What must be true between operations: cells, lists, statistics, names and the runtime's own sequences agree, and the bytes
  /// reported are those of the process's memory map.
  void check();
  std::string log;  ///< what was done

 private:
  enum class Fate { computed, stopped, starved };  ///< of a batch
  struct Filled;
  struct Stopper {
    int calls = 0, at = -1;
    bool starves = false;  ///< an allocation fails behind that call instead
    int allocation = 0;
    static bool callback(void* data);
  };
  using Lengths = std::vector<int>;

  int draw(int least, int most) { return std::uniform_int_distribution<int>(least, most)(random_); }
  llama_context_params params() const;
  llama_memory_t memory() const { return llama_get_memory(attached_.context()); }
  int newest(int s) const { return llama_memory_seq_pos_max(memory(), s); }
  std::vector<std::int32_t>& text(int s) { return texts_[static_cast<std::size_t>(s)]; }
  std::string decode(const Filled& filled, Fate fate);
  void fill(Filled& filled, const Lengths& from, const Lengths& to, bool in_turns, int both) const;
  void read(Fate fate);
  void read_together(int s, int t, Fate fate);
  void read_batch(const Lengths& from, Lengths to, Fate fate, int both);
  void compare(const Filled& ours, const Filled& theirs) const;
  void cut(int s);
  void remove(int s);
  void copy(int s, int t);
  void clear();
  void save(int s);
  void load(int s);

  std::mt19937 random_;
  FuzzKind kind_;
  bool recurrent_, same_;
  int window_, vocabulary_, sequences_;
  llama::Attached attached_;
  std::unique_ptr<llama_context, void (*)(llama_context*)> stock_;
  std::vector<std::vector<std::int32_t>> texts_;
  /// Sequences whose batch was broken off with tokens of several: of such a token llama.cpp removes the first sequence alone.
  std::vector<bool> doubtful_;
  Stopper stop_;
  int least_calls_ = 1 << 20, most_calls_ = 40;  // of the abort callback, per batch
  bool copied_ = false;                          // since the last batch
  bool exact_ = true;                            // llama.cpp's own recurrent states are
  int checks_ = 0;
  std::vector<std::byte> saved_;
  std::vector<std::uint8_t> stock_saved_;
  std::vector<std::int32_t> saved_text_;
};

}  // namespace namm::test
