// A few charts below each other as one SVG file: lines, steps and dots over a common horizontal axis. Colours
// follow the viewer's light or dark scheme. Text from outside is escaped.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qiao::tools {

// Values of an axis at which it is marked: round numbers (1, 2 or 5 times a power of ten), about `count` of
// them, from 0 to at least `most`, which is above 0.
std::vector<double> LinearTicks(double most, int count);
// Powers of ten around least..most, both above 0.
std::vector<double> LogTicks(double least, double most);

struct SvgSeries {
  enum Mark { kLine, kSteps, kDots };
  std::string name;
  Mark mark = kLine;
  int colour = 0;                                 // 0..3
  std::vector<std::pair<double, double>> points;  // x ascending, but for dots
};

struct SvgPanel {
  std::string title;  // with the unit of its values
  bool logarithmic = false;
  std::vector<SvgSeries> series;
  std::vector<std::pair<std::string, double>> limits;  // drawn across, with their names
};

struct SvgFigure {
  std::string title, subtitle;
  std::string x_title;
  double x_most = 1;  // the axis begins at 0
  std::vector<SvgPanel> panels;
};

// More dots than this of a series are thinned out evenly.
inline constexpr size_t kMostDots = 4000;

std::string ToSvg(const SvgFigure& figure);

}  // namespace qiao::tools
