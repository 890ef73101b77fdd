#include <stdexcept>
#include <utility>

#include "adapters/llama_cpp/backend/attach_scope.hpp"
#include "adapters/llama_cpp/context/attached_internals.hpp"
#include "adapters/llama_cpp/context/create.hpp"
#include "adapters/llama_cpp/context/followed_context.hpp"
#include "adapters/llama_cpp/context/saved_state.hpp"
#include "namm/llama.hpp"

namespace namm::llama {
namespace {

/// The functions that we are linked with.
Runtime linked_runtime() {
  Runtime out;
  out.get_memory = [](const void* context) -> void* { return llama_get_memory(static_cast<const llama_context*>(context)); };
  out.sequences = [](const void* context) { return llama_n_seq_max(static_cast<const llama_context*>(context)); };
  out.newest_position = [](void* memory, std::int32_t sequence) {
    return llama_memory_seq_pos_max(static_cast<llama_memory_t>(memory), sequence);
  };
  out.window = [](const void* model) { return llama_model_n_swa(static_cast<const llama_model*>(model)); };
  out.rope_type = [](const void* model) {
    return static_cast<int>(llama_model_rope_type(static_cast<const llama_model*>(model)));
  };
  out.hybrid = [](const void* model) { return llama_model_is_hybrid(static_cast<const llama_model*>(model)); };
  out.remove = [](void* memory, std::int32_t sequence, std::int32_t from, std::int32_t to) {
    return llama_memory_seq_rm(static_cast<llama_memory_t>(memory), sequence, from, to);
  };
  out.clear = [](void* memory, bool data) { llama_memory_clear(static_cast<llama_memory_t>(memory), data); };
  out.state_size = [](void* context) { return llama_state_get_size(static_cast<llama_context*>(context)); };
  out.get_state = [](void* context, std::uint8_t* to, std::size_t size) {
    return llama_state_get_data(static_cast<llama_context*>(context), to, size);
  };
  out.set_state = [](void* context, const std::uint8_t* from, std::size_t size) {
    return llama_state_set_data(static_cast<llama_context*>(context), from, size);
  };
  out.sequence_state_size = [](void* context, std::int32_t sequence, std::uint32_t flags) {
    return llama_state_seq_get_size_ext(static_cast<llama_context*>(context), sequence, flags);
  };
  out.get_sequence_state = [](void* context, std::uint8_t* to, std::size_t size, std::int32_t sequence, std::uint32_t flags) {
    return llama_state_seq_get_data_ext(static_cast<llama_context*>(context), to, size, sequence, flags);
  };
  out.set_sequence_state = [](void* context, const std::uint8_t* from, std::size_t size, std::int32_t sequence,
                              std::uint32_t flags) {
    return llama_state_seq_set_data_ext(static_cast<llama_context*>(context), from, size, sequence, flags);
  };
  return out;
}

void require_sequence(llama_seq_id sequence, const llama_context* context) {
  const auto count = static_cast<llama_seq_id>(llama_n_seq_max(context));
  if (sequence < 0 || sequence >= count)
    throw std::invalid_argument("sequence: must be from 0 to " + std::to_string(count - 1) + ", is " + std::to_string(sequence) +
                                "; raise llama_context_params::n_seq_max for more");
}

}  // namespace

struct Attached::Parts {
  Parts(CachePolicy with, const llama_model* model, StoredContext created)
      : policy(std::move(with)),
        context(std::move(created.context)),
        store(*created.store),
        followed(linked_runtime(), model, context.get(), store, [](const Request&) {}) {}

  llama_memory_t memory() const { return llama_get_memory(context.get()); }

  CachePolicy policy;
  ContextPointer context;
  CacheStore& store;  // the context's backend owns it
  FollowedContext followed;
};

CacheStore& AttachedInternals::store(const Attached& attached) {
  return attached.parts_->store;
}
FollowedContext& AttachedInternals::followed(const Attached& attached) {
  return attached.parts_->followed;
}

Attached::Attached(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Attached::Attached(Attached&&) noexcept = default;
Attached& Attached::operator=(Attached&&) noexcept = default;
Attached::~Attached() = default;

llama_context* Attached::context() const {
  return parts_->context.get();
}

const CachePolicy& Attached::policy() const {
  return parts_->policy;
}

std::vector<LayerDescription> Attached::layers() const {
  return parts_->store.layers();
}

void Attached::decode(const llama_batch& batch) {
  if (batch.n_tokens < 1 || static_cast<std::uint32_t>(batch.n_tokens) > llama_n_batch(context()))
    throw std::invalid_argument("batch: must have 1 to " + std::to_string(llama_n_batch(context())) + " tokens (n_batch), has " +
                                std::to_string(batch.n_tokens) + "; split it, or raise llama_context_params::n_batch");
  parts_->followed.catch_up();
  parts_->followed.before_batch();
  const int status = llama_decode(context(), batch);
  llama_synchronize(context());
  std::string why;
  try {
    if (parts_->followed.after_batch(status) == 0) return;
    why = take_failure();
  } catch (const std::exception& error) {
    why = error.what();
  }
  if (why.empty() && status == 0)
    why = "a sequence of the batch lost tokens before, in one that was broken off; remove it and read it again";
  if (why.empty() && status == 1)
    why = "no room for the batch; n_ctx (" + std::to_string(llama_n_ctx(context())) +
          ") must hold the whole text, also what is dropped";
  throw std::runtime_error("llama_decode: " + (why.empty() ? "failed with status " + std::to_string(status) : why));
}

std::string Attached::take_failure() {
  return llama::take_failure(parts_->store);
}

void Attached::update() {
  parts_->followed.catch_up();
  parts_->followed.drop_cut_ends();
  parts_->store.update();
}

CacheUsage Attached::usage() const {
  parts_->followed.catch_up();
  return parts_->store.usage();
}

std::vector<HeadContent> Attached::content() const {
  parts_->followed.catch_up();
  return parts_->store.content();
}

void Attached::clear() {
  llama_memory_clear(parts_->memory(), false);
  parts_->followed.cleared();
}

void Attached::remove(llama_seq_id sequence, llama_pos from) {
  require_sequence(sequence, context());
  if (from < 0)
    throw std::invalid_argument("from: must be a position, at least 0, is " + std::to_string(from) +
                                "; 0 removes the whole sequence");
  parts_->followed.catch_up();
  if (from > 0 && !parts_->followed.can_cut(sequence, from))
    throw std::runtime_error("sequence " + std::to_string(sequence) +
                             ": must be cut behind the last eviction, was to be cut at " + std::to_string(from) +
                             "; what was evicted cannot come back: remove all of it and read it again");
  if (!llama_memory_seq_rm(parts_->memory(), sequence, from, -1))
    throw std::runtime_error("sequence " + std::to_string(sequence) + ": llama.cpp refuses to cut it at " + std::to_string(from) +
                             " (a recurrent state cannot be); remove all of it");
  if (from == 0) parts_->followed.removed(sequence);
}

void Attached::copy(llama_seq_id source, llama_seq_id target) {
  require_sequence(source, context());
  require_sequence(target, context());
  parts_->followed.catch_up();
  if (const std::string refusal = parts_->followed.copying(source, target, -1); !refusal.empty())
    throw std::runtime_error("sequence " + std::to_string(source) + ": " + refusal);
  llama_memory_seq_cp(parts_->memory(), source, target, -1, -1);
}

std::vector<std::byte> Attached::save(llama_seq_id sequence) const {
  if (sequence != -1) require_sequence(sequence, context());
  parts_->followed.catch_up();
  std::vector<std::byte> out(parts_->followed.save_state(sequence, {}));
  parts_->followed.save_state(sequence, out);
  return out;
}

void Attached::load(std::span<const std::byte> saved, llama_seq_id sequence) {
  if (sequence != -1) require_sequence(sequence, context());
  parts_->followed.catch_up();
  if (const std::size_t size = state_bytes(saved); size != saved.size())
    throw std::runtime_error("saved state: must be " + std::to_string(size) + " bytes, are " + std::to_string(saved.size()) +
                             "; give what save() gave");
  parts_->followed.load_state(sequence, saved);
}

Attached attach(llama_model* model, const llama_context_params& params, const CachePolicy& policy) {
  if (!model) throw std::invalid_argument("model: must be loaded, is null; did llama_model_load_from_file fail?");
  if (params.flash_attn_type == LLAMA_FLASH_ATTN_TYPE_DISABLED)
    throw std::invalid_argument(
        "flash_attn_type: must be AUTO or ENABLED with a policy attached, is DISABLED; keep the default, AUTO");
  if (policy.drops() && policy.selection.budget.unit == Budget::Unit::unlimited &&
      policy.selection.mode != SelectionMode::threshold && policy.selection.mode != SelectionMode::reference)
    throw std::invalid_argument("policy " + std::string(policy.policy->name()) +
                                ": must have a budget, has none; for example policy.with_budget(\"25%\")");
  return Attached(std::make_unique<Attached::Parts>(policy, model, create_with_store(model, params, policy, name_of(model))));
}

std::string why_not_attachable(llama_model* model) {
  if (!model) return "model: must be loaded, is null";
  llama_context_params params = llama_context_default_params();
  params.offload_kqv = false;  // host memory takes the most models
  params.n_ctx = params.n_batch = params.n_ubatch = 256;
  try {
    create_with_store(model, params, {}, name_of(model));
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return {};
}

}  // namespace namm::llama
