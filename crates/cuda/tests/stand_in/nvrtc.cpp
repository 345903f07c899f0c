// The stand-in for NVRTC: a "compiled" program says only for which storage type it was compiled.

#include "stand_in.h"

#include <cstring>
#include <string>

struct Program {
    std::string image;
};

EXPORT int nvrtcVersion(int* major, int* minor) { return *major = 13, *minor = 0, 0; }
EXPORT int nvrtcGetNumSupportedArchs(int* count) { return *count = 2, 0; }
EXPORT int nvrtcGetSupportedArchs(int* numbers) { return numbers[0] = 80, numbers[1] = 90, 0; }
EXPORT int nvrtcCreateProgram(
    Program** program, const char* source, const char* name, int headers, const char* const* texts, const char* const* names
) {
    bool whole = std::strlen(source) > 0 && std::strlen(name) > 0;
    for (int i = 0; i < headers; i++) whole = whole && std::strlen(texts[i]) > 0 && std::strstr(names[i], ".cuh");
    return *program = new Program, whole ? 0 : 3;
}
EXPORT int nvrtcCompileProgram(Program* program, int count, const char* const* options) {
    bool for_the_card = false;
    for (int i = 0; i < count; i++) {
        if (std::strncmp(options[i], "-DSTORAGE=", 10) == 0) program->image = std::string("storage ") + options[i][10];
        for_the_card = for_the_card || std::strcmp(options[i], "--gpu-architecture=sm_90") == 0;
    }
    return for_the_card && !program->image.empty() ? 0 : 6;
}
EXPORT int nvrtcGetProgramLogSize(Program*, size_t* size) { return *size = 1, 0; }
EXPORT int nvrtcGetProgramLog(Program*, char* log) { return *log = 0, 0; }
EXPORT int nvrtcGetCUBINSize(Program* program, size_t* size) { return *size = program->image.size(), 0; }
EXPORT int nvrtcGetCUBIN(Program* program, char* image) {
    return std::memcpy(image, program->image.data(), program->image.size()), 0;
}
EXPORT int nvrtcDestroyProgram(Program** program) { return delete *program, *program = nullptr, 0; }
