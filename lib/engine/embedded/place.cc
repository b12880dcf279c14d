#include "engine/embedded/place.h"

#include <sys/stat.h>

namespace once::engine {

std::optional<Layout> layout_at(const std::string& path) {
  struct stat there{};
  if (::stat(path.c_str(), &there) != 0) return std::nullopt;
  return S_ISDIR(there.st_mode) ? Layout::directory : Layout::file;
}

std::unique_ptr<Place> make_place(const std::string& path, const PlaceConfig& config) {
  // A file does not go by a name with a slash at its end.
  std::string name = path;
  while (name.size() > 1 && name.back() == '/') name.pop_back();
  // What is wrong with a path that cannot be looked at, opening the place tells.
  const Layout layout =
      config.device ? Layout::file : layout_at(name).value_or(config.options.layout);
  return layout == Layout::directory ? make_directory_place(name, config)
                                     : make_file_place(name, config);
}

}  // namespace once::engine
