#include "workloads/workload.h"

namespace once::bench {

void add_growing(std::vector<Workload>&) {}

}  // namespace once::bench
