// More headers for whatever answer is given.
#pragma once

#include <memory>

#include "runtime/serve/http/message.h"

namespace qiao::serve {

// A way back that is `responder`, but adds these to the head of its answer.
std::shared_ptr<Responder> WithHeaders(std::shared_ptr<Responder> responder, HeaderList headers);

}  // namespace qiao::serve
