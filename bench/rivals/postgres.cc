#include "rivals/rival.h"
namespace once::bench {
std::unique_ptr<Rival> open_postgres(const OpenRival&) {
  throw Unable("not yet");
}
}  // namespace once::bench
