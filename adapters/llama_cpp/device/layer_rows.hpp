#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "adapters/llama_cpp/device/own_graph.hpp"
#include "adapters/llama_cpp/device/row_types.hpp"
#include "adapters/llama_cpp/store/row_slots.hpp"

namespace namm::llama {

/// Keys and values of one layer in tensors of a device: [size, capacity, KV heads] each, a row for each slot. No pointer into
/// them is followed: they are written, read and moved by operations of the device alone.
class LayerRows {
 public:
  /// Rows come in steps that attention likes, of all backends: 256.
  static constexpr std::int64_t kStep = 256;
  static std::int64_t padded(std::size_t rows) { return (static_cast<std::int64_t>(rows) + kStep - 1) / kStep * kStep; }

  LayerRows(ggml_backend_buffer_type_t type, const RowTypes& numbers, int kv_heads, std::int64_t key_size,
            std::int64_t value_size);

  /// Whether there is a number for each row, what a policy's reader reads of its token; from the next time that rows are moved.
  void hold_content(bool yes) { holds_content_ = yes; }

  const std::vector<std::shared_ptr<RowSlots>>& slots() const { return slots_; }
  ggml_tensor* keys() const { return keys_; }
  ggml_tensor* values() const { return values_; }
  ggml_tensor* content() const { return content_; }  ///< [1, capacity, KV heads]; null: there is none
  ggml_backend_buffer_type_t type() const { return type_; }
  std::int64_t key_size() const { return key_size_; }
  std::int64_t value_size() const { return value_size_; }
  const RowTypes& numbers() const { return numbers_; }
  std::int64_t capacity() const { return keys_ ? keys_->ne[1] : 0; }
  /// Rows that attention goes over: up to the highest slot in use of any head, padded.
  std::int64_t extent() const;

  /// Makes room for all slots in use. Throws std::runtime_error if the device has none.
  void grow(const DeviceStream& stream);
  /// Moves rows together and frees what that leaves, if that is at least a step and at least an eighth of the rows: else the
  /// next part of a prompt would have to ask for it again.
  void shrink(const DeviceStream& stream);
  /// Bytes of a key, a value and what is read of their token.
  std::size_t row_bytes() const;
  /// Whether rows, of row_bytes() each, have nothing but finite numbers.
  bool are_finite(std::span<const std::byte> rows) const;
  /// Rows of a head, [slot of `slots`][row_bytes()]; those in use only.
  std::vector<std::byte> read(const DeviceStream& stream, int kv_head, std::span<const std::int32_t> slots) const;
  /// Puts them there; there is room.
  void write(const DeviceStream& stream, int kv_head, std::span<const std::int32_t> slots, std::span<const std::byte> rows);
  /// [KV head][slot]; 0 for free slots.
  std::vector<std::vector<float>> norms(const DeviceStream& stream, bool values) const;

  /// The same of content.
  std::vector<std::vector<float>> contents(const DeviceStream& stream) const;

  std::int64_t bytes() const;
  /// At most while rows were moved last: old and new ones, and what was beside them.
  std::int64_t moving_bytes() const { return moving_; }
  std::int64_t bookkeeping_bytes() const;

 private:
  /// What is worth new tensors.
  std::int64_t share() const { return capacity() / 8; }
  /// Calls visit(tensor, bytes of a row in it, where they are in a saved row).
  template <class Visit>
  void for_each_tensor(Visit visit) const;
  void move(const DeviceStream& stream, std::int64_t capacity, const std::vector<std::vector<std::int32_t>>& from);

  ggml_backend_buffer_type_t type_;
  RowTypes numbers_;
  std::int64_t key_size_, value_size_;
  std::vector<std::shared_ptr<RowSlots>> slots_;
  GgmlContext context_;
  GgmlBuffer buffer_, content_buffer_;
  ggml_tensor *keys_ = nullptr, *values_ = nullptr, *content_ = nullptr;
  GgmlContext content_context_;
  bool holds_content_ = false;
  std::int64_t moving_ = 0;
};

}  // namespace namm::llama
