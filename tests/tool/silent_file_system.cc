// For LD_PRELOAD: a file system that tells nobody of changes, as some do. Whatever is watched with
// inotify(7) seems never to change.
#include <cstdint>

extern "C" int inotify_add_watch(int descriptor, const char* path, std::uint32_t mask);

extern "C" int inotify_add_watch(int /*descriptor*/, const char* /*path*/, std::uint32_t /*mask*/) {
  return 1;
}
