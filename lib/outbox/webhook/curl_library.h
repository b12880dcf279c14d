// libcurl, loaded when the first webhook is made. It brings two dozen libraries with it, and to
// load them takes longer than a small program needs to start; most that embed Once post nothing.
#pragma once

#include <curl/curl.h>

#include "once/error.h"

namespace once::outbox {

// Its functions, by their names without curl_.
struct CurlLibrary {
  decltype(&::curl_global_init) global_init = nullptr;
  decltype(&::curl_easy_init) easy_init = nullptr;
  decltype(&::curl_easy_cleanup) easy_cleanup = nullptr;
  decltype(&::curl_easy_reset) easy_reset = nullptr;
  decltype(&::curl_easy_setopt) easy_setopt = nullptr;
  decltype(&::curl_easy_perform) easy_perform = nullptr;
  decltype(&::curl_easy_getinfo) easy_getinfo = nullptr;
  decltype(&::curl_easy_strerror) easy_strerror = nullptr;
  decltype(&::curl_slist_append) slist_append = nullptr;
  decltype(&::curl_slist_free_all) slist_free_all = nullptr;
  decltype(&::curl_free) free = nullptr;
  decltype(&::curl_url) url = nullptr;
  decltype(&::curl_url_cleanup) url_cleanup = nullptr;
  decltype(&::curl_url_get) url_get = nullptr;
  decltype(&::curl_url_set) url_set = nullptr;
  decltype(&::curl_url_strerror) url_strerror = nullptr;
};

// The same for all, ready to be used, for as long as the process lives. Thread-safe. Errors:
// unsupported (there is no libcurl here).
[[nodiscard]] Result<const CurlLibrary*> curl_library();

}  // namespace once::outbox
