#include "engine/embedded/place.h"

namespace once::engine {

Result<std::unique_ptr<Place>> make_place(const std::string& path, const PlaceConfig& config) {
  return make_directory_place(path, config);
}

}  // namespace once::engine
