// Python's string formatting, as far as templates use it: "%s" % x, "{}".format(x), and the number formats
// below both.
#pragma once

#include <string>
#include <string_view>

#include "runtime/text/jinja_operators.h"

namespace qiao::text::jinja {

// format % arguments: a tuple gives several, a dict the named ones.
StatusOr<std::string> FormatPercent(std::string_view format, const Value& arguments, Budget& budget);
// format.format(*args, **kwargs).
StatusOr<std::string> FormatBraces(std::string_view format, const Arguments& arguments, Budget& budget);
// format(value, spec): [[fill]align][sign][#][0][width][,][.precision][type].
StatusOr<std::string> FormatValue(const Value& value, std::string_view spec, Budget& budget);

}  // namespace qiao::text::jinja
