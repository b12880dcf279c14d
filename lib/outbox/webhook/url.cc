#include "outbox/webhook/url.h"

#include <fmt/format.h>

#include <memory>

#include "base/error.h"
#include "outbox/webhook/curl_library.h"

namespace once::outbox {
namespace {

using Handle = std::unique_ptr<CURLU, decltype(CurlLibrary::url_cleanup)>;

std::string part_of(const CurlLibrary& curl, const Handle& url, CURLUPart part,
                    unsigned int flags = 0) {
  char* text = nullptr;
  if (curl.url_get(url.get(), part, &text, flags) != CURLUE_OK) return {};
  const std::unique_ptr<char, decltype(CurlLibrary::free)> owned(text, curl.free);
  return text;
}

}  // namespace

Result<Url> parse_url(const std::string& text) {
  const auto library = curl_library();
  if (!library) return std::unexpected(library.error());
  const CurlLibrary& curl = **library;
  // What is wrong with it is shown without it: it may hold a password.
  const Handle url(curl.url(), curl.url_cleanup);
  if (!url) return fail(ErrorCode::io, "no memory left to read an URL");
  const CURLUcode code = text.find('\0') != std::string::npos
                             ? CURLUE_MALFORMED_INPUT
                             : curl.url_set(url.get(), CURLUPART_URL, text.c_str(), 0);
  if (code != CURLUE_OK) {
    return fail(ErrorCode::invalid_argument,
                "what events are to be sent to is no URL ({}); give one such as "
                "https://shop.example/events",
                curl.url_strerror(code));
  }
  const std::string scheme = part_of(curl, url, CURLUPART_SCHEME);
  if (scheme != "http" && scheme != "https") {
    return fail(ErrorCode::invalid_argument,
                "events cannot be sent to an URL of scheme {}; give one of http or https", scheme);
  }
  Url parsed;
  parsed.origin = fmt::format("{}://{}:{}", scheme, part_of(curl, url, CURLUPART_HOST),
                              part_of(curl, url, CURLUPART_PORT, CURLU_DEFAULT_PORT));
  const std::string port = part_of(curl, url, CURLUPART_PORT);
  parsed.shown = fmt::format("{}://{}{}{}{}", scheme, part_of(curl, url, CURLUPART_HOST),
                             port.empty() ? "" : ":", port, part_of(curl, url, CURLUPART_PATH));
  return parsed;
}

}  // namespace once::outbox
