/* A runtime in C that knows only namm.h: two layers, two KV heads each, four query heads, keys and values in its own arrays. It
 * reads 64 tokens, lets the policy decide, and gathers. Ends with 1 at the first thing that is not as the header says. */
#include <math.h>
#include <namm/namm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { kLayers = 2, kHeads = 2, kGroup = 2, kSize = 8, kTokens = 64, kBudget = 24 };

static float keys[kLayers][kHeads][kTokens][kSize];
static float rows[kTokens * kTokens];

#define CHECK(condition)                                                                                    \
  do {                                                                                                      \
    if (!(condition)) {                                                                                     \
      fprintf(stderr, "use_c.c:%d: not so: %s; last error: %s\n", __LINE__, #condition, namm_last_error()); \
      exit(1);                                                                                              \
    }                                                                                                       \
  } while (0)

/* Anything that differs from place to place. */
static float number(int a, int b, int c) {
  return sinf((float)(a * 131 + b * 17 + c));
}

static namm_sequence* make(const char* name) {
  namm_policy* policy = NULL;
  namm_sequence* sequence = NULL;
  namm_layer layers[kLayers] = {{0, kHeads, kSize, kSize, 0}, {3, kHeads, kSize, kSize, 0}};
  namm_needs needs;
  needs.size = sizeof needs;
  CHECK(namm_policy_load(name, &policy) == NAMM_OK);
  CHECK(strcmp(namm_policy_name(policy), name) == 0);
  CHECK(strcmp(namm_policy_store(policy), "f16") == 0);
  CHECK(namm_policy_set_budget(policy, "24") == NAMM_OK);
  CHECK(namm_policy_set_interval(policy, kTokens) == NAMM_OK);
  CHECK(namm_policy_set_protection(policy, 2, 4) == NAMM_OK);
  CHECK(namm_policy_needs(policy, &needs) == NAMM_OK);
  CHECK(needs.drops == 1 && needs.interval_tokens == kTokens && needs.plain_keys == 0);
  CHECK(needs.attention == (strcmp(name, "h2o") == 0) && needs.keys == (strcmp(name, "knorm") == 0));
  CHECK(namm_sequence_create(policy, layers, kLayers, 2, &sequence) == NAMM_OK);
  namm_policy_free(policy); /* the sequence has its own */
  return sequence;
}

/* What a cache has for a layer and token, the heads one behind the other. */
static void append(namm_sequence* sequence) {
  static float token_keys[kTokens][kHeads * kSize];
  int32_t positions[kTokens];
  int l, t, h;
  for (l = 0; l < kLayers; ++l) {
    for (t = 0; t < kTokens; ++t) {
      positions[t] = t;
      for (h = 0; h < kHeads; ++h) memcpy(&token_keys[t][h * kSize], keys[l][h][t], sizeof keys[l][h][t]);
    }
    CHECK(namm_sequence_append(sequence, l * 3, kTokens, positions, token_keys[0], kHeads * kSize, NULL, 0) == NAMM_OK);
  }
}

static void attention_of(int layer, int head, const float* queries) {
  int q, t, g, d;
  memset(rows, 0, sizeof rows);
  for (q = 0; q < kTokens; ++q)
    for (g = 0; g < kGroup; ++g) {
      double power[kTokens], sum = 0;
      for (t = 0; t <= q; ++t) {
        double product = 0;
        for (d = 0; d < kSize; ++d)
          product += (double)queries[(q * kHeads * kGroup + head * kGroup + g) * kSize + d] * (double)keys[layer][head][t][d];
        sum += power[t] = exp(0.5 * product);
      }
      for (t = 0; t <= q; ++t) rows[q * kTokens + t] += (float)(power[t] / sum / kGroup);
    }
}

/* Rows of attention, and queries with keys, lead to the same lists. */
static void attention(void) {
  static float queries[kTokens * kHeads * kGroup * kSize];
  namm_sequence *by_rows = make("h2o"), *by_queries = make("h2o");
  int l, h;
  size_t i;
  append(by_rows);
  append(by_queries);
  for (l = 0; l < kLayers; ++l) {
    const float* head_keys[kHeads];
    namm_queries from;
    memset(&from, 0, sizeof from);
    for (i = 0; i < sizeof queries / sizeof *queries; ++i) queries[i] = 2 * number(l, 5, (int)i);
    for (h = 0; h < kHeads; ++h) {
      head_keys[h] = keys[l][h][0];
      attention_of(l, h, queries);
      CHECK(namm_sequence_observe(by_rows, l * 3, h, kTokens, rows, kTokens, 0) == NAMM_OK);
    }
    from.size = sizeof from;
    from.query_heads = kHeads * kGroup;
    from.queries = queries;
    from.query_stride = kHeads * kGroup * kSize;
    from.keys = head_keys;
    from.key_stride = kSize;
    from.scale = 0.5f;
    CHECK(namm_sequence_observe_queries(by_queries, l * 3, kTokens, 0, &from) == NAMM_OK);
  }
  CHECK(namm_sequence_update(by_rows, NULL) == NAMM_OK);
  CHECK(namm_sequence_update(by_queries, NULL) == NAMM_OK);
  for (l = 0; l < kLayers; ++l)
    for (h = 0; h < kHeads; ++h) {
      const int32_t *one, *other;
      size_t count, other_count;
      CHECK(namm_sequence_kept(by_rows, l * 3, h, &one, &count) == NAMM_OK);
      CHECK(namm_sequence_kept(by_queries, l * 3, h, &other, &other_count) == NAMM_OK);
      CHECK(count == kBudget && other_count == kBudget && memcmp(one, other, count * sizeof *one) == 0);
    }
  namm_sequence_free(by_rows);
  namm_sequence_free(by_queries);
}

/* Small keys stay; the cache is gathered in place; saved and restored it goes on as it was. */
static void gather_and_save(void) {
  namm_sequence *sequence = make("knorm"), *again = make("knorm");
  int32_t due = 0;
  int64_t dropped = 0;
  const int32_t *kept, *positions;
  size_t count, i, size = 0, other_size;
  char *saved, *other;
  namm_usage usage;
  append(sequence);
  CHECK(namm_sequence_due(sequence, &due) == NAMM_OK && due == 1);
  CHECK(namm_sequence_update(sequence, &dropped) == NAMM_OK);
  CHECK(dropped == kLayers * kHeads * (kTokens - kBudget));
  CHECK(namm_sequence_due(sequence, &due) == NAMM_OK && due == 0);
  CHECK(namm_sequence_kept(sequence, 3, 1, &kept, &count) == NAMM_OK && count == kBudget);
  CHECK(namm_sequence_positions(sequence, 3, 1, &positions, &count) == NAMM_OK && count == kBudget);
  CHECK(memcmp(kept, positions, count * sizeof *kept) == 0); /* of a first update they are the same */
  CHECK(kept[0] == 0 && kept[1] == 1 && kept[count - 1] == kTokens - 1);
  {
    float copy[kTokens][kSize];
    memcpy(copy, keys[1][1], sizeof copy);
    CHECK(namm_gather_rows(copy, sizeof copy[0], sizeof copy[0], kept, count) == NAMM_OK);
    for (i = 0; i < count; ++i) CHECK(memcmp(copy[i], keys[1][1][kept[i]], sizeof copy[i]) == 0);
  }
  usage.size = sizeof usage;
  CHECK(namm_sequence_usage(sequence, &usage) == NAMM_OK);
  CHECK(usage.tokens_seen == kTokens && usage.entries == kLayers * kHeads * kBudget && usage.updates == 1);
  CHECK(usage.entries_peak == kLayers * kHeads * kTokens && usage.entries_full == usage.entries_peak);
  CHECK(usage.kv_bytes == usage.entries * 2 * kSize * 2 && usage.statistics_bytes > 0);

  CHECK(namm_sequence_save(sequence, NULL, &size) == NAMM_OK && size > 0);
  saved = malloc(size);
  other_size = size - 1;
  CHECK(namm_sequence_save(sequence, saved, &other_size) == NAMM_INVALID_ARGUMENT);
  CHECK(namm_sequence_save(sequence, saved, &size) == NAMM_OK);
  CHECK(namm_sequence_restore(again, saved, size - 1) == NAMM_FAILED);
  CHECK(namm_sequence_usage(again, &usage) == NAMM_OK && usage.entries == 0); /* nothing was changed */
  CHECK(namm_sequence_restore(again, saved, size) == NAMM_OK);
  other = malloc(size);
  other_size = size;
  CHECK(namm_sequence_save(again, other, &other_size) == NAMM_OK && other_size == size && memcmp(saved, other, size) == 0);
  CHECK(namm_sequence_clear(again) == NAMM_OK && namm_sequence_usage(again, &usage) == NAMM_OK && usage.entries == 0);
  free(saved);
  free(other);
  namm_sequence_free(sequence);
  namm_sequence_free(again);
}

static void errors(void) {
  namm_policy* policy = (namm_policy*)&policy;
  namm_sequence* sequence = make("h2o");
  int32_t positions[2] = {5, 5};
  const int32_t* kept;
  size_t count;
  struct {
    size_t size;
    int32_t drops;
  } old_needs = {sizeof(size_t) + sizeof(int32_t), -1};
  CHECK(namm_policy_load("h20", &policy) == NAMM_INVALID_ARGUMENT && policy == NULL);
  CHECK(strstr(namm_last_error(), "h2o") != NULL);
  CHECK(namm_policy_load("no/such/policy.json", &policy) == NAMM_FAILED);
  CHECK(namm_policy_load("streaming", NULL) == NAMM_INVALID_ARGUMENT);
  CHECK(namm_policy_load("streaming", &policy) == NAMM_OK);
  CHECK(namm_policy_set_budget(policy, "a lot") == NAMM_INVALID_ARGUMENT);
  CHECK(namm_policy_set_interval(policy, 0) == NAMM_INVALID_ARGUMENT);
  CHECK(namm_policy_needs(policy, (namm_needs*)&old_needs) == NAMM_OK && old_needs.drops == 1); /* an older, shorter header */
  CHECK(namm_sequence_append(sequence, 0, 2, positions, NULL, 0, NULL, 0) == NAMM_INVALID_ARGUMENT);
  CHECK(strstr(namm_last_error(), "ascend") != NULL);
  CHECK(namm_sequence_append(sequence, 1, 1, positions, NULL, 0, NULL, 0) == NAMM_INVALID_ARGUMENT); /* no such layer */
  CHECK(namm_sequence_append(sequence, 0, 1, positions, NULL, 0, NULL, 0) == NAMM_OK);
  CHECK(namm_sequence_update(sequence, NULL) == NAMM_INVALID_ARGUMENT);                 /* layer 3 has not had its turn */
  CHECK(namm_sequence_observe(sequence, 0, 0, 1, rows, 1, 6) == NAMM_INVALID_ARGUMENT); /* a query without its token */
  CHECK(namm_sequence_update(NULL, NULL) == NAMM_INVALID_ARGUMENT);
  CHECK(namm_sequence_kept(sequence, 0, 0, &kept, &count) == NAMM_INVALID_ARGUMENT); /* else all would be dropped */
  namm_policy_free(policy);
  namm_policy_free(NULL);
  namm_sequence_free(sequence);
  namm_sequence_free(NULL);
}

int main(void) {
  int l, h, t, d;
  for (l = 0; l < kLayers; ++l)
    for (h = 0; h < kHeads; ++h)
      for (t = 0; t < kTokens; ++t)
        for (d = 0; d < kSize; ++d) keys[l][h][t][d] = number(l * kHeads + h, t, d) * (1 + number(7, h, t));
  CHECK(namm_abi_version() == NAMM_ABI_VERSION);
  attention();
  gather_and_save();
  errors();
  printf("namm %s, ABI %d: %d of %d tokens kept in each of %d heads\n", namm_version(), (int)namm_abi_version(), kBudget, kTokens,
         kLayers * kHeads);
  return 0;
}
