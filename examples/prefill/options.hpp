// The command line. Every mistake is reported before any work, with the value and what to do.
#pragma once

#include <charconv>
#include <cstdint>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "methods.hpp"

namespace prefill {

struct options {
  std::string model, text;
  std::optional<std::int64_t> tokens;
  settings method{.sinks = 4, .window = 64, .stride = 64, .average = 16};
  std::optional<std::int64_t> sweep;
  std::string csv, json, plot = "prefill.svg";
  bool help = false;
};

inline constexpr std::int64_t default_tokens = 7680;
inline constexpr std::int64_t scored_tokens = 512;
inline constexpr std::int64_t least_tokens = 1024;

inline char const* usage() {
  return R"(prefill: one prompt, prefilled once for every way to attend, and what each leaves of it.

  prefill --model FILE.gguf --text FILE   a real model reads a real document
  prefill                                 without a model: attention alone, on random tensors

  --model FILE    a GGUF file of the llama or qwen2 architecture with a byte-level BPE vocabulary;
                  weights in F32, F16, BF16, Q8_0, Q4_0 or Q4_1
  --text FILE     the document, plain UTF-8
  --tokens N      read this many of its tokens       (default 7680, or fewer if it is shorter)
  --sinks S       the first S keys stay visible      (default 4)
  --window W      and the last W                     (default 64)
  --stride G      every G-th row is an anchor        (default 64)
  --average K     the last row of the table takes the mean of K anchors' corrections (default 16)
  --sweep C       windows in the plot, from W to 16 W (default: as many of 5 as fit four minutes;
                  1 runs only the table's rows)
  --csv FILE      the numbers, a line a run
  --json FILE     the numbers and the settings
  --plot FILE     divergence against visible pairs, as SVG (default prefill.svg; none: no plot)
  --help          this text
)";
}

class bad_option : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

inline std::int64_t whole_number(std::string const& option, std::string_view text,
                                 std::int64_t least, std::int64_t most) {
  std::int64_t value = 0;
  auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < least || value > most)
    throw bad_option(option + " is '" + std::string(text) + "', but takes a whole number from " +
                     std::to_string(least) + " to " + std::to_string(most));
  return value;
}

/// Output files are opened now rather than lost after minutes of work.
inline void check_writable(std::string const& option, std::string const& path) {
  if (path.empty() || path == "none") return;
  if (!std::ofstream(path, std::ios::app))
    throw bad_option("cannot write " + option + " '" + path +
                     "': does its folder exist, and may you write there?");
}

inline options parse_options(int count, char const* const* arguments) {
  constexpr std::int64_t many = std::int64_t(1) << 20;
  options o;
  for (int i = 1; i < count; ++i) {
    std::string name = arguments[i];
    std::optional<std::string> value;
    if (auto const equals = name.find('='); name.starts_with("--") && equals != name.npos) {
      value = name.substr(equals + 1);
      name.resize(equals);
    }
    if (name == "--help" || name == "-h") {
      o.help = true;
      return o;
    }
    auto const text = [&] {
      if (!value && i + 1 < count) value = arguments[++i];
      if (!value || value->empty())
        throw bad_option(name + " lacks its value; see prefill --help");
      return *value;
    };
    auto const number = [&](std::int64_t least, std::int64_t most) {
      return whole_number(name, text(), least, most);
    };
    if (name == "--model") o.model = text();
    else if (name == "--text") o.text = text();
    else if (name == "--tokens") o.tokens = number(least_tokens, many);
    else if (name == "--sinks") o.method.sinks = number(0, many);
    else if (name == "--window") o.method.window = number(1, many);
    else if (name == "--stride") o.method.stride = number(1, many);
    else if (name == "--average") o.method.average = number(1, many);
    else if (name == "--sweep") o.sweep = number(1, 16);
    else if (name == "--csv") o.csv = text();
    else if (name == "--json") o.json = text();
    else if (name == "--plot") o.plot = text();
    else
      throw bad_option("there is no option '" + name + "'; prefill --help lists those there are");
  }
  if (!o.model.empty() && o.text.empty())
    throw bad_option("--model is given, but no document: add --text FILE");
  auto const tokens = o.tokens.value_or(default_tokens);
  if (o.method.sinks + o.method.window >= tokens - scored_tokens)
    throw bad_option("--sinks " + std::to_string(o.method.sinks) + " and --window " +
                     std::to_string(o.method.window) + " already see all of the " +
                     std::to_string(tokens - scored_tokens) +
                     " prefilled tokens; make them smaller or --tokens larger");
  check_writable("--csv", o.csv);
  check_writable("--json", o.json);
  check_writable("--plot", o.plot);
  return o;
}

}  // namespace prefill
