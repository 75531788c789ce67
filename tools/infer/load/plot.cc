#include "tools/infer/load/plot.h"

#include <algorithm>
#include <utility>

namespace qiao::tools {
namespace {

constexpr int kBins = 120;

SvgPanel Requests(const LoadRun& run) {
  SvgPanel panel{.title = "Requests at the server", .logarithmic = false, .series = {}, .limits = {}};
  SvgSeries running{.name = "running", .mark = SvgSeries::kSteps, .colour = 0, .points = {}};
  SvgSeries waiting{.name = "waiting", .mark = SvgSeries::kSteps, .colour = 1, .points = {}};
  for (const LoadSample& sample : run.samples) {
    running.points.emplace_back(sample.at, static_cast<double>(sample.state.running));
    waiting.points.emplace_back(sample.at, static_cast<double>(sample.state.waiting));
  }
  panel.series = {std::move(running), std::move(waiting)};
  return panel;
}

SvgSeries Rate(std::string name, int colour, const std::vector<double>& rates, double width) {
  SvgSeries series{.name = std::move(name), .mark = SvgSeries::kSteps, .colour = colour, .points = {}};
  for (size_t i = 0; i < rates.size(); ++i)
    series.points.emplace_back(width * static_cast<double>(i), rates[i]);
  if (!rates.empty()) series.points.emplace_back(width * static_cast<double>(rates.size()), rates.back());
  return series;
}

// No finer than the samples and the steps of the model: below that there are only spikes.
int Bins(const LoadRun& run) {
  if (run.samples.empty()) return kBins;
  const double steps = static_cast<double>(run.samples.back().state.steps);
  return static_cast<int>(std::clamp(std::min(run.seconds / kSampleSeconds, steps / 4), 1.0, double{kBins}));
}

SvgPanel Rates(const LoadRun& run) {
  const Series rates = TokenRates(run, Bins(run));
  SvgPanel panel{.title = "Tokens a second", .logarithmic = false, .series = {}, .limits = {}};
  panel.series.push_back(Rate("answers", 0, rates.output, rates.width));
  if (!rates.prompt.empty()) panel.series.push_back(Rate("prompts", 1, rates.prompt, rates.width));
  return panel;
}

SvgPanel Waits(const LoadRun& run, const Deadlines& deadlines) {
  // Those that all came at once are told apart by when they ended.
  const bool came = !run.records.empty() && run.records.back().due > run.start;
  SvgPanel panel{.title = came ? "Each request by when it came, milliseconds"
                               : "Each request by when it ended, milliseconds",
                 .logarithmic = true,
                 .series = {},
                 .limits = {}};
  SvgSeries all{.name = "end to end", .mark = SvgSeries::kDots, .colour = 3, .points = {}};
  SvgSeries first{.name = "first token", .mark = SvgSeries::kDots, .colour = 0, .points = {}};
  SvgSeries per{.name = "per token after it", .mark = SvgSeries::kDots, .colour = 2, .points = {}};
  for (const RequestRecord& r : run.records) {
    if (r.outcome != RequestRecord::Outcome::kFinished) continue;
    const Latencies l = LatenciesOf(r);
    const double at = Seconds((came ? r.due : r.ended) - run.start);
    all.points.emplace_back(at, 1e3 * l.end_to_end);
    first.points.emplace_back(at, 1e3 * l.first_token);
    if (l.per_token) per.points.emplace_back(at, 1e3 * *l.per_token);
  }
  panel.series = {std::move(all), std::move(first), std::move(per)};
  if (deadlines.first_token > 0)
    panel.limits.emplace_back("first token at most", 1e3 * deadlines.first_token);
  if (deadlines.per_token > 0) panel.limits.emplace_back("per token at most", 1e3 * deadlines.per_token);
  return panel;
}

}  // namespace

SvgFigure PlotOf(const LoadRun& run, const Deadlines& deadlines, std::string title, std::string subtitle) {
  SvgFigure figure{.title = std::move(title),
                   .subtitle = std::move(subtitle),
                   .x_title = "seconds from the start",
                   .x_most = run.seconds,
                   .panels = {}};
  if (!run.samples.empty()) figure.panels.push_back(Requests(run));
  figure.panels.push_back(Rates(run));
  figure.panels.push_back(Waits(run, deadlines));
  return figure;
}

}  // namespace qiao::tools
