#include "runtime/text/constraint_format.h"

namespace qiao::text {
namespace {

// RFC 3339, section 5.6, without leap seconds, and 29 February in leap years only.
#define QIAO_DATE                                                                                 \
  "(?:\\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|" \
  "02-(?:0[1-9]|1\\d|2[0-8]))|"                                                                   \
  "(?:\\d\\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)"
#define QIAO_TIME "(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{1,9})?(?:Z|[+-](?:[01]\\d|2[0-3]):[0-5]\\d)"
#define QIAO_OCTET "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)"
// RFC 1123, section 2.1: labels of at most 63 characters; at most eight of them here.
#define QIAO_LABEL "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
#define QIAO_HEX16 "[0-9A-Fa-f]{1,4}"

struct Format {
  std::string_view name, pattern;
};
constexpr Format kFormats[] = {
    {"date", QIAO_DATE},
    {"time", QIAO_TIME},
    {"date-time", QIAO_DATE "T" QIAO_TIME},
    {"uuid", "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"},
    // RFC 5321, section 4.1.2: dot-strings, no quoted ones and no address literals; at least two labels.
    {"email",
     "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,20}(?:\\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,20}){0,2}@(?:" QIAO_LABEL
     "\\.){1,3}[A-Za-z]{2,24}"},
    {"ipv4", QIAO_OCTET "(?:\\." QIAO_OCTET "){3}"},
    // RFC 4291, section 2.2, without the forms that end in an IPv4 address.
    {"ipv6",
     "(?:" QIAO_HEX16 ":){7}" QIAO_HEX16 "|(?:" QIAO_HEX16 ":){1,7}:|(?:" QIAO_HEX16 ":){1,6}:" QIAO_HEX16
     "|(?:" QIAO_HEX16 ":){1,5}(?::" QIAO_HEX16 "){1,2}|(?:" QIAO_HEX16 ":){1,4}(?::" QIAO_HEX16
     "){1,3}|(?:" QIAO_HEX16 ":){1,3}(?::" QIAO_HEX16 "){1,4}|(?:" QIAO_HEX16 ":){1,2}(?::" QIAO_HEX16
     "){1,5}|" QIAO_HEX16 ":(?::" QIAO_HEX16 "){1,6}|:(?:(?::" QIAO_HEX16 "){1,7}|:)"},
    {"hostname", "(?:" QIAO_LABEL "\\.){0,3}" QIAO_LABEL},
    // RFC 3986: scheme, authority without user information, path, query, fragment; ASCII as it demands.
    {"uri",
     "[A-Za-z][A-Za-z0-9+.-]{0,30}://[A-Za-z0-9._~-]+(?::\\d{1,5})?(?:/"
     "(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*)*"
     "(?:\\?(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?(?:#(?:[A-Za-z0-9._~!$&'()*+,;=:@/"
     "?-]|%[0-9A-Fa-f]{2})*)?"},
};

}  // namespace

std::optional<std::string_view> FormatPattern(std::string_view format) {
  for (const Format& f : kFormats) {
    if (f.name == format) return f.pattern;
  }
  return std::nullopt;
}

}  // namespace qiao::text
