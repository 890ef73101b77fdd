/* The C interface of the toolkit: what a runtime needs to let a policy decide which tokens stay in its KV cache.
 *
 * Every function returns a code; what went wrong is then in namm_last_error(). Handles are opaque, made and freed here. One
 * handle may be used from several threads at once: calls on it wait for each other. No exception and no type of C++ crosses this
 * border. Numbers are float (32 bits) and int32_t. Memory that is passed in stays the caller's and is not kept; memory that is
 * handed out belongs to its handle and lasts until the handle's next update, restore, clear or free.
 *
 * docs/c_api.md shows how a runtime is attached; tests/consumer/app/use_c.c is a whole program.
 */
#ifndef NAMM_H
#define NAMM_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define NAMM_API __attribute__((visibility("default")))
#else
#define NAMM_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Grows when something that exists changes; what is added leaves it as it is. */
#define NAMM_ABI_VERSION 1

typedef enum namm_code {
  NAMM_OK = 0,
  NAMM_INVALID_ARGUMENT = 1, /* the caller can change it: a name, a budget, a shape, positions that do not ascend */
  NAMM_FAILED = 2,           /* the environment: a file that cannot be read or is damaged */
  NAMM_OUT_OF_MEMORY = 3,
  NAMM_INTERNAL = 4 /* a fault of the library */
} namm_code;

/* The sentence about the last call in this thread that did not return NAMM_OK: subject, rule, value seen, remedy. Never null;
 * lasts until the thread's next call that fails. */
NAMM_API const char* namm_last_error(void);
/* NAMM_ABI_VERSION of the library that was loaded: compare it with the header's. */
NAMM_API int32_t namm_abi_version(void);
/* Of the toolkit, "0.1.0". */
NAMM_API const char* namm_version(void);

/* ---- Policies -----------------------------------------------------------------------------------------------------------------
 */

typedef struct namm_policy namm_policy;

/* "default", a registered name ("h2o-mean", "snapkv"), or the path of a policy file (JSON or safetensors)
   or of a run's folder. */
NAMM_API namm_code namm_policy_load(const char* name_or_path, namm_policy** out);
/* Null is ignored. Sequences made with the policy go on. */
NAMM_API void namm_policy_free(namm_policy* policy);

/* Settings hold for the sequences that are made from then on. */
NAMM_API namm_code namm_policy_set_budget(namm_policy* policy,
                                          const char* budget); /* "25%", "0.25", "256", "64MiB", "12.5%bytes", "none" */
NAMM_API namm_code namm_policy_set_mode(namm_policy* policy,
                                        const char* mode); /* "uniform", "pooled", "threshold", "reference" */
NAMM_API namm_code namm_policy_set_interval(namm_policy* policy, int32_t tokens); /* between two updates, at least 1 */
NAMM_API namm_code namm_policy_set_protection(namm_policy* policy, int32_t sinks, int32_t recent); /* never dropped */

/* What the policy reads. size: set it to sizeof(namm_needs); only so much is written. */
typedef struct namm_needs {
  size_t size;
  int32_t drops;           /* 0: everything is kept, an update does nothing */
  int32_t attention;       /* rows of attention, or queries and keys */
  int32_t keys;            /* of tokens when they enter the cache */
  int32_t values;          /* the same */
  int32_t plain_keys;      /* these keys must be those before rotary embedding; else norms are read, which it does not change */
  int32_t interval_tokens; /* between two updates */
} namm_needs;
NAMM_API namm_code namm_policy_needs(const namm_policy* policy, namm_needs* out);
/* Registry name, e.g. "h2o-mean"; lasts as long as the policy. Null for a null policy. */
NAMM_API const char* namm_policy_name(const namm_policy* policy);
/* How the policy's file says that keys and values are to be held: "f16" (or nothing is said), "q8_0", "q4_0", apart, "q8_0,q4_0",
 * or with means of what was evicted, "f16+4means". Holding rows is the runtime's business: one that holds them otherwise should
 * tell its user, because the same budget then takes other memory or holds other tokens. Lasts as long as the policy. Null for a
 * null policy. */
NAMM_API const char* namm_policy_store(const namm_policy* policy);

/* ---- Sequences ----------------------------------------------------------------------------------------------------------------
 */

/* What a policy knows of one sequence (one prompt and what is generated behind it): statistics of every token of every (layer, KV
 * head). Keys and values stay in the runtime.
 *
 *   batch by batch, layer by layer:  namm_sequence_append -> namm_sequence_observe (every head) or namm_sequence_observe_queries
 *   behind the last layer:           namm_sequence_due? -> namm_sequence_update -> gather every head by namm_sequence_kept
 */
typedef struct namm_sequence namm_sequence;

/* One layer that has a KV cache. */
typedef struct namm_layer {
  int32_t layer;      /* index in the model: a calibrated policy is tied to it */
  int32_t kv_heads;   /* at least 1 */
  int32_t key_size;   /* numbers per key and KV head */
  int32_t value_size; /* numbers per value and KV head */
  int32_t window;     /* sliding window in tokens: updates drop what left it, the policy has no say. 0: none */
} namm_layer;

/* layers: ascending by index. bytes_per_number of the runtime's cache (2 for f16), read for budgets in MiB and for usage. */
NAMM_API namm_code namm_sequence_create(const namm_policy* policy, const namm_layer* layers, size_t layer_count,
                                        double bytes_per_number, namm_sequence** out);
NAMM_API void namm_sequence_free(namm_sequence* sequence);
/* All tokens are forgotten; settings and peaks stay. */
NAMM_API namm_code namm_sequence_clear(namm_sequence* sequence);

/* Tokens that enter the cache of one layer.
 *   positions  [count]                        in the sequence, ascending, above all before
 *   keys       token i at keys + i * key_stride (in floats): the layer's KV heads one behind the other, [kv_heads * key_size];
 *              null if needs.keys is 0. Before rotary embedding if needs.plain_keys
 *   values     the same, [kv_heads * value_size]; null if needs.values is 0
 * In case of an error, other than NAMM_OUT_OF_MEMORY, nothing is changed. */
NAMM_API namm_code namm_sequence_append(namm_sequence* sequence, int32_t layer, size_t count, const int32_t* positions,
                                        const float* keys, size_t key_stride, const float* values, size_t value_stride);

/* Attention of `rows` consecutive queries of one KV head, the first one at first_position: attention[row * stride + entry] are
 * probabilities over all entries the head holds, the batch's own included, averaged over the query heads that share the KV head,
 * 0 where a query does not see an entry. Read during the call only; ignored if needs.attention is 0. */
NAMM_API namm_code namm_sequence_observe(namm_sequence* sequence, int32_t layer, int32_t kv_head, int32_t rows,
                                         const float* attention, size_t stride, int32_t first_position);

/* Queries and keys in place of rows of attention, both as the products are taken (after rotary embedding). size: set it to
 * sizeof(namm_queries). */
typedef struct namm_queries {
  size_t size;
  int32_t query_heads;      /* a multiple of the KV heads; query head h reads KV head h / (query_heads / kv_heads) */
  const float* queries;     /* row r at queries + r * query_stride, [query_heads * key_size] */
  size_t query_stride;      /* in floats */
  const float* const* keys; /* one pointer per KV head: entry e of what the head holds at keys[h] + e * key_stride */
  size_t key_stride;        /* in floats */
  float scale;              /* of the products */
  float softcap;            /* logits become softcap * tanh(logit / softcap); 0: off */
  const float* sinks;       /* one logit per query head that takes probability and gives no value; null: none */
} namm_queries;
/* Does what namm_sequence_observe does for all KV heads of a layer. Entries behind a query's position are not seen. */
NAMM_API namm_code namm_sequence_observe_queries(namm_sequence* sequence, int32_t layer, int32_t rows, int32_t first_position,
                                                 const namm_queries* queries);

/* out: 1 if a multiple of the policy's interval was passed since the last update, else 0. */
NAMM_API namm_code namm_sequence_due(const namm_sequence* sequence, int32_t* out);
/* Decides which entries stay and forgets the others: from now on the runtime's lists have to be as namm_sequence_kept says. Every
 * layer must have been given the same number of tokens. dropped: entries dropped over all heads, or null. */
NAMM_API namm_code namm_sequence_update(namm_sequence* sequence, int64_t* dropped);
/* What stays of a head, from the newest update: ascending indices into the entries it held before. Refused if
 * there was none since the sequence began, was cleared or restored. */
NAMM_API namm_code namm_sequence_kept(const namm_sequence* sequence, int32_t layer, int32_t kv_head, const int32_t** indices,
                                      size_t* count);
/* Positions of the entries a head holds now, ascending; until the next append, too. */
NAMM_API namm_code namm_sequence_positions(const namm_sequence* sequence, int32_t layer, int32_t kv_head,
                                           const int32_t** positions, size_t* count);
/* Moves rows kept[0], kept[1], ... of row_bytes each, row i at rows + i * row_stride (in bytes), to the front. kept: ascending.
 * The runtime then gives back what is behind. */
NAMM_API namm_code namm_gather_rows(void* rows, size_t row_bytes, size_t row_stride, const int32_t* kept, size_t count);

/* size: set it to sizeof(namm_usage). */
typedef struct namm_usage {
  size_t size;
  int64_t tokens_seen;
  int64_t entries, entries_peak, entries_full;     /* (layer, KV head, token); full: what a cache without a policy would hold */
  int64_t kv_bytes, kv_bytes_peak, kv_bytes_full;  /* that these entries need, by bytes_per_number */
  int64_t statistics_bytes, statistics_bytes_peak; /* held here */
  int64_t updates;
  int64_t nan_scores; /* met so far: such tokens go first */
} namm_usage;
NAMM_API namm_code namm_sequence_usage(const namm_sequence* sequence, namm_usage* out);

/* The sequence as bytes, to go on later with the same policy and layers, bit for bit; the runtime keeps its keys and values.
 * buffer null: only *size is set. Else *size is the buffer's size and becomes what was written; too small a buffer is refused. */
NAMM_API namm_code namm_sequence_save(const namm_sequence* sequence, void* buffer, size_t* size);
/* In case of an error nothing is changed. Nothing read is trusted, but a changed number is not noticed. */
NAMM_API namm_code namm_sequence_restore(namm_sequence* sequence, const void* buffer, size_t size);

#ifdef __cplusplus
}
#endif

#endif
