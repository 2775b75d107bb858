// What people read: errors in options, the table, the closing sentence, the plot.
#include <sstream>
#include <string>
#include <vector>

#include "plot.hpp"
#include "report.hpp"
#include "test.hpp"

namespace prefill_test {

using namespace prefill;

namespace {

options parse(std::vector<char const*> words) {
  words.insert(words.begin(), "prefill");
  return parse_options(int(words.size()), words.data());
}

std::vector<result> made_up(double delta, double averaged) {
  settings const s{4, 64, 64, 16};
  std::vector<result> all;
  std::vector<double> const divergences = {0, 0.2, 0.1, 0.3, delta, averaged};
  auto const methods = table_methods(s, 4000);
  for (std::size_t i = 0; i < methods.size(); ++i)
    all.push_back({.how = methods[i], .percent = i == 1 ? 2.0 : i == 0 ? 100.0 : 8.0, .seconds = 1,
                   .speed_up = 1, .error = 0.1, .perplexity = 10, .divergence = divergences[i]});
  return all;
}

bool contains(std::string const& text, std::string const& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

void test_report() {
  check(parse({"--window", "128", "--plot=none"}).method.window == 128, "options: a number");
  check(parse({"--plot=none"}).plot == "none", "options: --name=value");
  check(parse({"--help", "--nonsense"}).help, "options: help comes first");
  auto const refuses = [](std::vector<char const*> const& words, char const* fragment) {
    check_throws<bad_option>([&] { parse(words); }, fragment, std::string("options: ") + words[0]);
  };
  refuses({"--windw", "3"}, "no option '--windw'");
  refuses({"--window", "0"}, "from 1 to");
  refuses({"--stride", "6x"}, "'6x'");
  refuses({"--tokens", "12"}, "from 1024 to");
  refuses({"--average"}, "lacks its value");
  refuses({"--model", "m.gguf"}, "add --text");
  check(parse({"--text", "t", "--plot=none"}).model.empty(), "options: no model, no reading");
  refuses({"--window", "7168"}, "7168 prefilled tokens");
  refuses({"--csv", "/no/such/folder/x.csv"}, "cannot write --csv");

  check(contains(verdict(made_up(0.09, 0.05), "M"),
                 "delta averaged over 16 anchors has the least divergence from dense (0.0500)"),
        "verdict: the correction wins");
  check(contains(verdict(made_up(0.4, 0.15), "M"), "though it beats plain"), "verdict: in between");
  check(contains(verdict(made_up(0.4, 0.35), "M"), "nor even plain"), "verdict: no use");

  auto const results = made_up(0.09, 0.05);
  std::ostringstream table;
  print_table(table, results, true);
  check(contains(table.str(), "sink_window, widened"), "the table names its rows");
  auto const svg = svg_plot(plot_of(results, "A & B")).str();
  check(contains(svg, "A &amp; B") && contains(svg, "</svg>"), "the plot is escaped and whole");
  check(!contains(svg, "nan") && !contains(svg, "inf"), "the plot has only numbers");
  check(quoted("a\"b\\\n") == "\"a\\\"b\\\\\\n\"", "json: escapes");
}

}  // namespace prefill_test
