// A load over time, as a picture: who runs and waits, tokens a second, and how long each request took.
#pragma once

#include <string>

#include "tools/infer/load/measures.h"
#include "tools/infer/load/svg.h"

namespace qiao::tools {

SvgFigure PlotOf(const LoadRun& run, const Deadlines& deadlines, std::string title, std::string subtitle);

}  // namespace qiao::tools
