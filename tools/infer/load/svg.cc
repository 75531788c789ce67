#include "tools/infer/load/svg.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_format.h"

namespace qiao::tools {
namespace {

// In pixels.
constexpr double kWidth = 960, kLeft = 72, kRight = 24, kTop = 78, kPanel = 170, kGap = 62, kBottom = 52;
constexpr double kPlotWidth = kWidth - kLeft - kRight;

// Colours that differ in brightness too, for those who do not tell them apart otherwise.
constexpr char kStyle[] = R"(<style>
  .paper { fill: #ffffff }
  text { font: 12px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: #4a4a4a }
  .title { font-size: 17px; font-weight: 600; fill: #1a1a1a }
  .panel { font-size: 13px; font-weight: 600; fill: #1a1a1a }
  .end { text-anchor: end } .middle { text-anchor: middle }
  .grid { stroke: #e4e4e4; stroke-width: 1 } .axis { stroke: #8a8a8a; stroke-width: 1 }
  .limit { stroke: #8a8a8a; stroke-width: 1.2; stroke-dasharray: 6 4 }
  .line { fill: none; stroke-width: 1.6; stroke-linejoin: round }
  .dot { fill-opacity: 0.55 }
  .c0 { stroke: #1f5fb4 } .c1 { stroke: #d9730d }
  .c2 { stroke: #2f8f5b } .c3 { stroke: #a03fa8 }
  .f0 { fill: #1f5fb4 } .f1 { fill: #d9730d } .f2 { fill: #2f8f5b } .f3 { fill: #a03fa8 }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #16181c }
    text { fill: #b8bcc4 } .title, .panel { fill: #f0f2f5 }
    .grid { stroke: #2b2f36 } .axis, .limit { stroke: #7c828c }
    .c0 { stroke: #6aa5f2 } .c1 { stroke: #f5a55a } .c2 { stroke: #6fd09b } .c3 { stroke: #d98be0 }
    .f0 { fill: #6aa5f2 } .f1 { fill: #f5a55a } .f2 { fill: #6fd09b } .f3 { fill: #d98be0 }
  }
</style>
)";

std::string Escaped(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '&') {
      safe += "&amp;";
    } else if (c == '<') {
      safe += "&lt;";
    } else if (c == '>') {
      safe += "&gt;";
    } else if (c == '"') {
      safe += "&quot;";
    } else {
      safe += byte < 0x20 || byte == 0x7f ? ' ' : c;  // XML 1.0 has no way to say them
    }
  }
  return safe;
}

void Text(std::string& svg, double x, double y, std::string_view classes, std::string_view text) {
  absl::StrAppendFormat(&svg, "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\">%s</text>\n", x, y, classes,
                        Escaped(text));
}

void Line(std::string& svg, double x1, double y1, double x2, double y2, std::string_view classes) {
  absl::StrAppendFormat(&svg, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" class=\"%s\"/>\n", x1,
                        y1, x2, y2, classes);
}

std::string Number(double value) {
  if (value >= 1e6) return absl::StrFormat("%gM", value / 1e6);
  return value >= 1e4 ? absl::StrFormat("%gk", value / 1e3) : absl::StrFormat("%g", value);
}

// Values to pixels, in a panel whose upper edge is `top`.
class Scale {
 public:
  Scale(const SvgPanel& panel, double top, double x_most)
      : top_(top), x_most_(x_most), logarithmic_(panel.logarithmic) {
    double least = HUGE_VAL, most = 0;
    const auto see = [&](double value) {
      most = std::max(most, value);
      if (value > 0) least = std::min(least, value);
    };
    for (const SvgSeries& series : panel.series)
      for (const auto& point : series.points) see(point.second);
    for (const auto& limit : panel.limits) see(limit.second);
    if (most <= 0) least = most = 1;
    ticks_ = logarithmic_ ? LogTicks(least, most) : LinearTicks(most, 4);
  }
  const std::vector<double>& ticks() const { return ticks_; }
  double X(double x) const { return kLeft + kPlotWidth * std::clamp(x / x_most_, 0.0, 1.0); }
  double Y(double value) const {
    double share = value / ticks_.back();
    if (logarithmic_) {
      share = std::log(std::max(value, ticks_.front()) / ticks_.front()) /
              std::log(ticks_.back() / ticks_.front());
    }
    return top_ + kPanel * (1 - std::clamp(share, 0.0, 1.0));
  }

 private:
  double top_, x_most_;
  bool logarithmic_;
  std::vector<double> ticks_;
};

void Draw(std::string& svg, const SvgSeries& series, const Scale& scale) {
  const auto& points = series.points;
  if (points.empty()) return;
  if (series.mark == SvgSeries::kDots) {
    const size_t stride = (points.size() + kMostDots - 1) / kMostDots;
    for (size_t i = 0; i < points.size(); i += stride) {
      absl::StrAppendFormat(&svg, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" class=\"dot f%d\"/>\n",
                            scale.X(points[i].first), scale.Y(points[i].second), series.colour);
    }
    return;
  }
  absl::StrAppendFormat(&svg, "<path class=\"line c%d\" d=\"", series.colour);
  for (size_t i = 0; i < points.size(); ++i) {
    const double x = scale.X(points[i].first);
    if (i > 0 && series.mark == SvgSeries::kSteps) absl::StrAppendFormat(&svg, "H%.1f", x);
    absl::StrAppendFormat(&svg, "%s%.1f %.1f", i == 0 ? "M" : "L", x, scale.Y(points[i].second));
  }
  svg += "\"/>\n";
}

// From right to left above the panel; widths are guessed from the characters.
void Legend(std::string& svg, const SvgPanel& panel, double top) {
  double x = kWidth - kRight;
  for (size_t i = panel.series.size(); i-- > 0;) {
    const SvgSeries& series = panel.series[i];
    x -= 6.6 * static_cast<double>(series.name.size());
    Text(svg, x, top - 10, "", series.name);
    absl::StrAppendFormat(&svg,
                          "<rect x=\"%.1f\" y=\"%.1f\" width=\"12\" height=\"8\" rx=\"2\" class=\"f%d\"/>\n",
                          x - 18, top - 18, series.colour);
    x -= 38;
  }
}

void DrawPanel(std::string& svg, const SvgPanel& panel, double top, double x_most,
               const std::vector<double>& x_ticks) {
  const Scale scale(panel, top, x_most);
  Text(svg, kLeft, top - 10, "panel", panel.title);
  Legend(svg, panel, top);
  for (const double tick : scale.ticks()) {
    Line(svg, kLeft, scale.Y(tick), kWidth - kRight, scale.Y(tick), "grid");
    Text(svg, kLeft - 8, scale.Y(tick) + 4, "end", Number(tick));
  }
  for (const double tick : x_ticks) {
    if (tick > x_most) break;
    Line(svg, scale.X(tick), top + kPanel, scale.X(tick), top + kPanel + 5, "axis");
    Text(svg, scale.X(tick), top + kPanel + 20, "middle", Number(tick));
  }
  Line(svg, kLeft, top + kPanel, kWidth - kRight, top + kPanel, "axis");
  Line(svg, kLeft, top, kLeft, top + kPanel, "axis");
  for (const auto& [name, value] : panel.limits) {
    Line(svg, kLeft, scale.Y(value), kWidth - kRight, scale.Y(value), "limit");
    Text(svg, kWidth - kRight - 4, scale.Y(value) - 5, "end", name);
  }
  for (const SvgSeries& series : panel.series) Draw(svg, series, scale);
}

}  // namespace

std::vector<double> LinearTicks(double most, int count) {
  const double rough = most / count;
  const double power = std::pow(10, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double factor : {1.0, 2.0, 5.0}) {
    // A hair of tolerance: 0.3 / 3 is a little more than 0.1.
    if (factor * power >= rough * (1 - 1e-9)) {
      step = factor * power;
      break;
    }
  }
  std::vector<double> ticks = {0};
  while (ticks.back() < most * (1 - 1e-9)) ticks.push_back(step * static_cast<double>(ticks.size()));
  return ticks;
}

std::vector<double> LogTicks(double least, double most) {
  const double from = std::floor(std::log10(least) + 1e-9);
  const double to = std::max(from + 1, std::ceil(std::log10(most) - 1e-9));
  std::vector<double> ticks;
  for (double power = from; power <= to; ++power) ticks.push_back(std::pow(10, power));
  return ticks;
}

std::string ToSvg(const SvgFigure& figure) {
  const auto panels = static_cast<double>(figure.panels.size());
  const double height = kTop + panels * kPanel + (panels - 1) * kGap + kBottom + 10;
  std::string svg = absl::StrFormat(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" height=\"%.0f\" "
      "role=\"img\">\n<title>%s</title>\n<desc>%s</desc>\n",
      kWidth, height, kWidth, height, Escaped(figure.title), Escaped(figure.subtitle));
  svg += kStyle;
  absl::StrAppendFormat(&svg, "<rect class=\"paper\" width=\"%.0f\" height=\"%.0f\"/>\n", kWidth, height);
  Text(svg, kLeft - 48, 28, "title", figure.title);
  // A long one is set smaller, so that it ends on the paper: a letter is about 0.55 of its size wide.
  const double letters = std::max<double>(1, static_cast<double>(figure.subtitle.size()));
  absl::StrAppendFormat(&svg, "<text x=\"%.1f\" y=\"47\" style=\"font-size:%.1fpx\">%s</text>\n", kLeft - 48,
                        std::min(12.0, (kWidth - kLeft) / (0.55 * letters)), Escaped(figure.subtitle));
  const double x_most = std::max(figure.x_most, 1e-6);
  const std::vector<double> x_ticks = LinearTicks(x_most, 10);
  double top = kTop;
  for (const SvgPanel& panel : figure.panels) {
    DrawPanel(svg, panel, top, x_most, x_ticks);
    top += kPanel + kGap;
  }
  Text(svg, kLeft + kPlotWidth / 2, height - 16, "middle", figure.x_title);
  svg += "</svg>\n";
  return svg;
}

}  // namespace qiao::tools
