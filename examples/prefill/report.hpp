// The table, its explanation, the machine-readable files and the closing sentence.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <optional>
#include <ostream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "options.hpp"
#include "result.hpp"

namespace prefill {

/// `value` to three significant digits, without an exponent where people would not write one.
inline std::string brief(double value) {
  std::array<char, 32> text{};
  int const digits = value == 0 ? 2 : std::clamp(2 - int(std::floor(std::log10(value))), 0, 4);
  std::snprintf(text.data(), text.size(), "%.*f", digits, value);
  return text.data();
}

inline std::string fixed(double value, int digits) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.*f", digits, value);
  return text.data();
}

inline std::string window_of(method const& m) {
  return m.how == rule::dense ? "-" : std::to_string(m.window);
}

inline void print_table(std::ostream& out, std::vector<result> const& results, bool with_model) {
  auto const line = [&](std::array<std::string, 8> const& cells) {
    constexpr std::array<int, 8> widths = {20, 8, 11, 12, 11, 11, 13, 13};
    std::string text;
    for (std::size_t i = 0; i < (with_model ? 8U : 6U); ++i) {
      auto const padding = std::size_t(std::max(0, widths[i] - int(cells[i].size())));
      text += i == 0 ? cells[i] + std::string(padding, ' ') : std::string(padding, ' ') + cells[i];
    }
    out << text << '\n';
  };
  line({"", "", "pairs", "attention", "", "row error", "perplexity", "divergence"});
  line({"method", "window", "(% dense)", "(s)", "speed-up", "(median)", "(last 512)", "(KL)"});
  out << std::string(with_model ? 99 : 73, '-') << '\n';
  for (auto const& r : results) {
    if (!r.in_table) continue;
    line({r.how.name, window_of(r.how), fixed(r.percent, 2), brief(r.seconds),
          fixed(r.speed_up, 1) + 'x', r.error ? fixed(*r.error, 3) : "-",
          r.perplexity ? fixed(*r.perplexity, 2) : "-",
          r.divergence && r.how.how != rule::dense ? fixed(*r.divergence, 4) : "-"});
  }
}

inline void print_caption(std::ostream& out, settings const& s, bool with_model) {
  out << "\nsink_window: the first " << s.sinks << " keys and the window's. widened: to as many "
         "pairs as delta. recompute: besides, every\n"
      << s.stride << "th row (anchor) and the last rows are dense. delta: besides, a row gets what "
         "its anchor's dense output\nhas over its sparse one; average "
      << s.average << ": the mean of the last " << s.average << " anchors'.\n"
      << "Pairs: the (query, key) pairs that the prefill computes, anchors and last rows included, "
         "counted exactly.\n";
  if (!with_model) {
    out << "Attention: seconds of one layer. Row error: |out - dense| / |dense| of the median "
           "(token, head).\n";
    return;
  }
  out << "Attention: seconds of all layers' prefill (the median layer's times the layers), without "
         "linear layers.\nRow error: |out - dense| / |dense| of the median (token, head) over all "
         "layers. For this and for the seconds\nthe methods take turns on the dense run's q, k "
         "and v of each layer.\n"
         "The last 512 tokens attend densely to what the prefill left, as decoding would. "
         "Perplexity is theirs;\ndivergence is the mean KL(dense || method), in nats, of their "
         "predictions over the whole vocabulary.\n";
}

/// What the numbers say, whether or not it flatters the library.
inline std::string verdict(std::vector<result> const& results, std::string const& subject) {
  bool const scored = results.front().divergence.has_value();
  auto const value = [&](result const* r) { return scored ? *r->divergence : *r->error; };
  std::string const measure = scored ? "divergence" : "median error";
  result const *sparse = nullptr, *widened = nullptr, *recompute = nullptr, *delta = nullptr;
  for (auto const& r : results) {
    if (!r.in_table) continue;
    if (r.how.how == rule::sink_window) (sparse ? widened : sparse) = &r;
    if (r.how.how == rule::recompute) recompute = &r;
    if (r.how.how == rule::delta && (!delta || value(&r) < value(delta))) delta = &r;
  }
  result const* best = delta;
  for (auto const* r : {widened, recompute})
    if (value(r) < value(best)) best = r;
  auto const named = [&](result const* r) -> std::string {
    if (r == widened) return "sink_window, widened to " + std::to_string(r->how.window) + " keys,";
    if (r->how.average > 1) return "delta averaged over " + std::to_string(r->how.average) +
                                   " anchors";
    return r->how.name;
  };
  auto const number = [&](result const* r) { return " (" + brief(value(r)) + ')'; };
  auto const plain = " plain sink_window" + number(sparse) + ", which costs " +
                     fixed(sparse->percent, 1) + " %.";
  auto const start = subject + ": of the ways that cost " + fixed(delta->percent, 1) +
                     " % of dense attention's pairs, " + named(best) + " has the least " + measure +
                     " from dense" + number(best);
  bool const beats_plain = value(delta) < value(sparse);
  if (best == delta)
    return start + ": less than sink_window widened to the same cost" + number(widened) +
           (beats_plain ? " and than" : ", but not less than") + plain;
  return start + "; the delta correction, at best " + named(delta) + number(delta) +
         ", does not beat it" + (beats_plain ? ", though it beats" : ", nor even") + plain;
}

inline std::ofstream open_output(std::string const& path) {
  std::ofstream file(path);
  if (!file) throw std::runtime_error("cannot write '" + path + "'");
  return file;
}

inline void write_csv(std::string const& path, std::vector<result> const& results) {
  auto file = open_output(path);
  file.precision(9);
  auto const optional = [&](std::optional<double> const& value) {
    file << ',';
    if (value) file << *value;
  };
  file << "part,method,window,pairs_percent,attention_seconds,speed_up,median_row_error,"
          "perplexity,divergence\n";
  for (auto const& r : results) {
    file << (r.in_table ? "table" : "sweep") << ",\"" << r.how.name << "\","
         << (r.how.how == rule::dense ? "" : window_of(r.how)) << ',' << r.percent << ','
         << r.seconds << ',' << r.speed_up;
    for (auto const& value : {r.error, r.perplexity, r.divergence}) optional(value);
    file << '\n';
  }
}

inline std::string quoted(std::string const& text) {
  std::string result = "\"";
  for (char const c : text) {
    if (c == '"' || c == '\\') result += '\\';
    if (static_cast<unsigned char>(c) < 0x20) result += c == '\n' ? "\\n" : " ";
    else result += c;
  }
  return result + '"';
}

/// `facts`: what the run was, as names and texts.
inline void write_json(std::string const& path, std::vector<result> const& results,
                       settings const& s,
                       std::vector<std::pair<std::string, std::string>> const& facts) {
  auto file = open_output(path);
  file.precision(9);
  auto const optional = [&](std::optional<double> const& value) {
    if (value) file << *value;
    else file << "null";
  };
  file << "{\n";
  for (auto const& [name, text] : facts)
    file << "  " << quoted(name) << ": " << quoted(text) << ",\n";
  file << "  \"sinks\": " << s.sinks << ", \"window\": " << s.window << ", \"stride\": " << s.stride
       << ", \"average\": " << s.average << ",\n  \"runs\": [";
  char const* separator = "\n";
  for (auto const& r : results) {
    file << separator << "    {\"method\": " << quoted(r.how.name)
         << ", \"part\": " << (r.in_table ? "\"table\"" : "\"sweep\"") << ", \"window\": ";
    if (r.how.how == rule::dense) file << "null";
    else file << r.how.window;
    file << ", \"pairs_percent\": " << r.percent << ", \"attention_seconds\": " << r.seconds
         << ", \"speed_up\": " << r.speed_up << ", \"median_row_error\": ";
    optional(r.error);
    file << ", \"perplexity\": ";
    optional(r.perplexity);
    file << ", \"divergence\": ";
    optional(r.divergence);
    file << '}';
    separator = ",\n";
  }
  file << "\n  ]\n}\n";
}

}  // namespace prefill
