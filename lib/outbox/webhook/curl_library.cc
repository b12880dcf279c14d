#include "outbox/webhook/curl_library.h"

#include <dlfcn.h>

#include <string>

#include "base/error.h"

namespace once::outbox {
namespace {

// Of the interface that the headers describe.
constexpr const char* file_name = "libcurl.so.4";

std::string last_trouble() {
  const char* trouble = ::dlerror();  // NOLINT(concurrency-mt-unsafe): it is this thread's own
  return trouble == nullptr ? "something is missing in it" : trouble;
}

Result<CurlLibrary> load() {
  const auto missing = [] {
    return fail(ErrorCode::unsupported,
                "to post events takes libcurl, which could not be loaded ({}); install it (on "
                "Debian: apt-get install libcurl4)",
                last_trouble());
  };
  // Never closed: it may have threads and handlers of its own.
  void* library = ::dlopen(file_name, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return missing();
  CurlLibrary curl;
  bool whole = true;
  const auto find = [&](auto& function, const char* name) {
    if (!whole) return;  // dlerror() tells of the first
    void* found = ::dlsym(library, name);
    whole = found != nullptr;
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(found);
  };
  find(curl.global_init, "curl_global_init");
  find(curl.easy_init, "curl_easy_init");
  find(curl.easy_cleanup, "curl_easy_cleanup");
  find(curl.easy_reset, "curl_easy_reset");
  find(curl.easy_setopt, "curl_easy_setopt");
  find(curl.easy_perform, "curl_easy_perform");
  find(curl.easy_getinfo, "curl_easy_getinfo");
  find(curl.easy_strerror, "curl_easy_strerror");
  find(curl.slist_append, "curl_slist_append");
  find(curl.slist_free_all, "curl_slist_free_all");
  find(curl.free, "curl_free");
  find(curl.url, "curl_url");
  find(curl.url_cleanup, "curl_url_cleanup");
  find(curl.url_get, "curl_url_get");
  find(curl.url_set, "curl_url_set");
  find(curl.url_strerror, "curl_url_strerror");
  if (!whole) return missing();
  (void)curl.global_init(CURL_GLOBAL_DEFAULT);
  return curl;
}

}  // namespace

Result<const CurlLibrary*> curl_library() {
  static const Result<CurlLibrary> loaded = load();
  if (!loaded) return std::unexpected(loaded.error());
  return &*loaded;
}

}  // namespace once::outbox
