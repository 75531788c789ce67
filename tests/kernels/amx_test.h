// What tests of the AMX kernels stand on: AMX by the hardware or the emulator while a test runs. They are
// skipped where the CPU lacks the AVX-512 around it, which is not emulated.
#pragma once

#include <gtest/gtest.h>

#include "tests/kernels/amx_emulator.h"

namespace qiao::kernels::cpu {

class AmxTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!AmxForTests::RunsTheRest()) GTEST_SKIP() << "this CPU lacks the AVX-512 that AMX kernels use";
  }
  AmxForTests amx_;
};

}  // namespace qiao::kernels::cpu
