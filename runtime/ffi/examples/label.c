// Labels a photo: with the labels in the model's file, or with those given behind a text tower.
//
//   cargo build --release -p edgelip-ffi
//   cc -Iruntime/ffi/include runtime/ffi/examples/label.c -o label target/release/libedgelip_ffi.a -lm -lpthread -ldl
//   ./label models/mlip-tiny/image.onnx fixtures/photos/coffee.jpg
//   ./label models/mlip-tiny/image.onnx fixtures/photos/coffee.jpg models/mlip-tiny/text.onnx "a cup of coffee" "a cat"

#include <stdio.h>

#include "edgelip.h"

static int fail(void) {
    fprintf(stderr, "error: %s\n", edgelip_error());
    return 2;
}

int main(int argc, char **argv) {
    if (argc < 3 || argc == 4) {
        fprintf(stderr, "usage: label MODEL PHOTO [TEXT-TOWER LABEL...]\n");
        return 2;
    }
    EdgelipModel *model;
    if (edgelip_open(argv[1], 0, &model) != EDGELIP_STATUS_OK) {
        return fail();
    }
    int result = 0;
    EdgelipScore best[3];
    size_t count = 0;
    if (argc > 4 && edgelip_set_labels(model, (const char *const *)argv + 4, argc - 4, argv[3], NULL) != EDGELIP_STATUS_OK) {
        result = fail();
    } else if (edgelip_classify_file(model, argv[2], best, 3, &count) != EDGELIP_STATUS_OK) {
        result = fail();
    }
    for (size_t i = 0; i < count; i++) {
        printf("%6.2f %%  %s\n", 100.0 * best[i].score, best[i].label);
    }
    edgelip_close(model);
    return result;
}
