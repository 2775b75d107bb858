// A line plot as SVG: both axes logarithmic, one colour and one marker a line.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "report.hpp"

namespace prefill {

struct line {
  std::string name;
  std::vector<std::pair<double, double>> points;
};

struct plot {
  std::string title, x_label, y_label;
  std::vector<line> lines;
};

class svg_plot {
 public:
  explicit svg_plot(plot const& p) {
    range(p);
    body_ += "<rect width='100%' height='100%' fill='white'/>\n";
    text(left, 28, "start", 16, p.title);
    grid();
    text((left + right) / 2, bottom + 44, "middle", 13, p.x_label);
    body_ += "<g transform='rotate(-90 22 " + num((top + bottom) / 2) + ")'>";
    text(22, (top + bottom) / 2, "middle", 13, p.y_label);
    body_ += "</g>\n";
    for (std::size_t i = 0; i < p.lines.size(); ++i) draw(p.lines[i], i);
  }

  std::string str() const {
    return "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 760 460' width='760' "
           "height='460' font-family='sans-serif' fill='#222'>\n" +
           body_ + "</svg>\n";
  }

 private:
  static constexpr double left = 80, right = 560, top = 48, bottom = 396;

  static std::string num(double value) { return fixed(value, 1); }

  struct axis {
    double low = 1e300, high = 0;
    void include(double value) { low = std::min(low, value), high = std::max(high, value); }
    void widen(double factor) {
      if (!(high > 0)) low = high = 1;
      low /= factor, high *= factor;
    }
    double part(double value) const { return std::log(value / low) / std::log(high / low); }
    /// 1, 2 and 5 of each decade: few enough to label for what is plotted here.
    std::vector<double> ticks() const {
      std::vector<double> result;
      for (int decade = -12; decade < 6; ++decade)
        for (double const step : {1.0, 2.0, 5.0}) {
          double const value = step * std::pow(10.0, decade);
          if (value >= low && value <= high) result.push_back(value);
        }
      return result;
    }
  };
  static std::string label(double tick) {
    return fixed(tick, std::max(0, -int(std::floor(std::log10(tick) + 1e-9))));
  }

  void range(plot const& p) {
    for (auto const& l : p.lines)
      for (auto const& [x, y] : l.points) x_.include(x), y_.include(y);
    x_.widen(1.2), y_.widen(1.2);
  }
  double x_of(double x) const { return left + (right - left) * x_.part(x); }
  double y_of(double y) const { return bottom - (bottom - top) * y_.part(y); }

  void text(double x, double y, char const* anchor, int size, std::string const& what) {
    body_ += "<text x='" + num(x) + "' y='" + num(y) + "' text-anchor='" + anchor +
             "' font-size='" + std::to_string(size) + "'>";
    for (char const c : what)
      body_ += c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : std::string(1, c);
    body_ += "</text>\n";
  }
  void stroke(double x1, double y1, double x2, double y2, char const* colour) {
    body_ += "<line x1='" + num(x1) + "' y1='" + num(y1) + "' x2='" + num(x2) + "' y2='" + num(y2) +
             "' stroke='" + colour + "'/>\n";
  }
  void grid() {
    for (double const y : y_.ticks()) {
      stroke(left, y_of(y), right, y_of(y), "#ddd");
      stroke(left - 5, y_of(y), left, y_of(y), "#222");
      text(left - 9, y_of(y) + 4, "end", 12, label(y));
    }
    for (double const x : x_.ticks()) {
      stroke(x_of(x), top, x_of(x), bottom, "#ddd");
      stroke(x_of(x), bottom, x_of(x), bottom + 5, "#222");
      text(x_of(x), bottom + 20, "middle", 12, label(x));
    }
    stroke(left, bottom, right, bottom, "#222");
    stroke(left, top, left, bottom, "#222");
  }

  void marker(double x, double y, std::size_t i, std::string const& colour) {
    auto const at = [&](double dx, double dy) { return num(x + dx) + ',' + num(y + dy) + ' '; };
    if (i % 4 == 0) {
      body_ += "<circle cx='" + num(x) + "' cy='" + num(y) + "' r='4.5' fill='" + colour + "'/>\n";
      return;
    }
    body_ += "<polygon fill='" + colour + "' points='";
    if (i % 4 == 1) body_ += at(-4, -4) + at(4, -4) + at(4, 4) + at(-4, 4);
    if (i % 4 == 2) body_ += at(0, -5.5) + at(5, 4) + at(-5, 4);
    if (i % 4 == 3) body_ += at(0, -6) + at(6, 0) + at(0, 6) + at(-6, 0);
    body_ += "'/>\n";
  }
  void draw(line const& l, std::size_t i) {
    // Okabe and Ito's colours: told apart with any common colour blindness; markers differ too.
    static constexpr char const* colours[] = {"#0072B2", "#E69F00", "#D55E00", "#009E73",
                                              "#CC79A7", "#56B4E9"};
    std::string const colour = colours[i % 6];
    body_ += "<polyline fill='none' stroke-width='2' stroke='" + colour + "' points='";
    for (auto const& [x, y] : l.points) body_ += num(x_of(x)) + ',' + num(y_of(y)) + ' ';
    body_ += "'/>\n";
    for (auto const& [x, y] : l.points) marker(x_of(x), y_of(y), i, colour);
    double const row = top + 12 + 22 * double(i);
    body_ += "<polyline stroke-width='2' stroke='" + colour + "' points='" + num(right + 18) + ',' +
             num(row) + ' ' + num(right + 42) + ',' + num(row) + "'/>\n";
    marker(right + 30, row, i, colour);
    text(right + 50, row + 4, "start", 13, l.name);
  }

  std::string body_;
  axis x_, y_;
};

/// Divergence (error, without a model) against visible pairs: all runs but the dense one. The
/// widened sink_window lies on sink_window's own line.
inline plot plot_of(std::vector<result> const& results, std::string const& subject) {
  bool const scored = results.front().divergence.has_value();
  plot p{.title = subject,
         .x_label = "visible pairs, per cent of dense attention's (lower left is better)",
         .y_label = scored ? "divergence of the predictions from dense (KL, nats)"
                           : "median row error against dense",
         .lines = {}};
  for (auto const& r : results) {
    if (r.how.how == rule::dense) continue;
    auto const name = r.how.how == rule::sink_window ? "sink_window" : r.how.name;
    auto same = std::find_if(p.lines.begin(), p.lines.end(),
                             [&](line const& l) { return l.name == name; });
    if (same == p.lines.end()) same = p.lines.insert(same, line{name, {}});
    double const y = scored ? *r.divergence : *r.error;
    if (y > 0) same->points.emplace_back(r.percent, y);  // a logarithm has no 0: exactly dense
  }
  for (auto& l : p.lines) std::sort(l.points.begin(), l.points.end());
  return p;
}

}  // namespace prefill
