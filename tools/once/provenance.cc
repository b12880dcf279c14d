#include "provenance.h"

#include <algorithm>

namespace once::tool {

Provenance provenance_of(const Record& record, Time now) {
  Provenance provenance{.token = record.token,
                        .attempt = record.attempt,
                        .replayed = true,
                        .created_at = record.created_at,
                        .finished_at = record.updated_at,
                        .expires_at = record.expires_at};
  if (record.expires_at == Time::max()) {
    provenance.time_to_live = forever;
  } else if (record.expires_at != Time{}) {
    provenance.time_to_live = std::max(record.expires_at - now, Duration{0});
  }
  return provenance;
}

}  // namespace once::tool
