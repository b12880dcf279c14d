#include "workloads/workload.h"

namespace once::bench {

void add_expiring(std::vector<Workload>&) {}

}  // namespace once::bench
