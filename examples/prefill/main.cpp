// Prefills one document once for every way to attend, and tells what each costs and loses.
#include <Kokkos_Core.hpp>
#include <algorithm>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "experiment.hpp"
#include "gguf.hpp"
#include "options.hpp"
#include "plot.hpp"
#include "report.hpp"
#include "tokenizer.hpp"

namespace {

using namespace prefill;
using facts = std::vector<std::pair<std::string, std::string>>;

void report(options const& o, std::vector<result> const& results, std::string const& subject,
            facts what) {
  bool const with_model = !o.model.empty();
  std::cout << '\n';
  print_table(std::cout, results, with_model);
  print_caption(std::cout, o.method, with_model);
  auto const sentence = verdict(results, subject);
  what.emplace_back("verdict", sentence);
  if (!o.csv.empty()) write_csv(o.csv, results);
  if (!o.json.empty()) write_json(o.json, results, o.method, what);
  if (o.plot != "none") {
    open_output(o.plot) << svg_plot(plot_of(results, subject)).str();
    std::cout << "Plot: " << o.plot << '\n';
  }
  std::cout << '\n' << sentence << '\n';
}

/// The document's first tokens, and the one more that scores the last prediction.
std::vector<int> read_document(options const& o, gguf const& file, std::int64_t context) {
  tokenizer const words(file.strings("tokenizer.ggml.tokens"),
                        file.strings("tokenizer.ggml.merges"),
                        splitter_named(file.text("tokenizer.ggml.pre", "gpt-2")));
  auto tokens = words.encode(mapped_file(o.text).bytes());
  if (file.integer("tokenizer.ggml.add_bos_token", 0) != 0)
    tokens.insert(tokens.begin(), int(file.integer("tokenizer.ggml.bos_token_id")));
  auto const available = std::int64_t(tokens.size()) - 1;
  auto const wanted = o.tokens.value_or(std::min({default_tokens, available, context}));
  if (wanted > context)
    throw bad_option("--tokens is " + std::to_string(wanted) + ", but this model was trained for " +
                     std::to_string(context) + " at most");
  if (wanted > available)
    throw bad_option("--tokens is " + std::to_string(wanted) + ", but '" + o.text + "' has only " +
                     std::to_string(available) + "; take a longer document or fewer tokens");
  if (wanted < least_tokens)
    throw bad_option("'" + o.text + "' has " + std::to_string(available) + " tokens, but " +
                     std::to_string(least_tokens) + " are needed; take a longer document");
  tokens.resize(std::size_t(wanted) + 1);
  return tokens;
}

void run_model(options const& o, progress& bar) {
  crew all;
  check_blas(all);
  gguf const file(o.model);
  if (auto const kind = file.text("tokenizer.ggml.model", "none"); kind != "gpt2")
    file.fail("its vocabulary is of the kind '" + kind +
              "'; this program knows byte-level BPE ('gpt2')");
  auto const context = file.integer(file.text("general.architecture", "") + ".context_length");
  auto tokens = read_document(o, file, context);
  model const m(file);
  for (auto const token : tokens)
    if (token >= m.vocabulary()) file.fail("its vocabulary is larger than its embedding");
  auto const count = std::int64_t(tokens.size()) - 1;
  auto const document = std::filesystem::path(o.text).filename().string();
  auto const name = std::filesystem::path(o.model).stem().string();
  auto const path =
      layer_attention(count - scored_tokens, m.heads(), m.kv_heads(), m.d()).path();
  std::cout << "Model      " << name << " (" << m.layers() << " layers, " << m.heads() << '/'
            << m.kv_heads() << " heads, d " << m.d() << ")\nDocument   " << document << ", "
            << count << " tokens: " << count - scored_tokens << " prefilled, then "
            << scored_tokens << " decoded\n"
            << "Linear     " << all.description() << "\nAttention  " << path << std::endl;
  experiment runs(o, all, count - scored_tokens, bar);
  auto const results = runs.with_model(m, std::move(tokens));
  report(o, results, name + " on " + document,
         {{"model", name}, {"document", document}, {"tokens", std::to_string(count)},
          {"linear", all.description()}, {"attention", path}});
}

void run_random(options const& o, progress& bar) {
  auto const count = o.tokens.value_or(default_tokens);
  auto const path = layer_attention(count, 9, 3, 64).path();
  std::cout << "No --model is given: attention alone, on " << count
            << " random tokens (9/3 heads, d 64) with a few heavy keys.\n"
               "Perplexity and divergence need a model, and a document for it; see prefill --help.\n"
            << "Attention  " << path << std::endl;
  crew all;
  experiment runs(o, all, count, bar);
  auto const results = runs.with_random_tensors(9, 3, 64);
  report(o, results, "On random tensors with heavy keys, which suit the correction",
         {{"model", "none"}, {"tokens", std::to_string(count)}, {"attention", path}});
}

}  // namespace

int main(int count, char** arguments) {
  try {
    auto const o = parse_options(count, arguments);
    if (o.help) {
      std::cout << usage();
      return 0;
    }
    // BLAS and Kokkos take turns on the same cores; bound threads would share one.
    ::setenv("OMP_PROC_BIND", "false", 0);
    Kokkos::ScopeGuard const kokkos;
    progress bar;
    if (o.model.empty()) {
      run_random(o, bar);
    } else {
      run_model(o, bar);
    }
    return 0;
  } catch (bad_option const& error) {
    std::cerr << "prefill: " << error.what() << '\n';
    return 2;
  } catch (std::exception const& error) {
    std::cerr << "prefill: " << error.what() << '\n';
    return 1;
  }
}
