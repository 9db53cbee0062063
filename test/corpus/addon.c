// A native addon that forgets to free: each call of decode() keeps as many bytes as it is asked to, of which V8 is never told.
// Node-API is stable and small, so what is used of it is declared here and no headers are needed.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct napi_env__ *napi_env;
typedef struct napi_value__ *napi_value;
typedef struct napi_callback_info__ *napi_callback_info;
typedef napi_value (*napi_callback)(napi_env, napi_callback_info);

int napi_get_cb_info(napi_env, napi_callback_info, size_t *, napi_value *, napi_value *, void **);
int napi_get_value_uint32(napi_env, napi_value, uint32_t *);
int napi_create_function(napi_env, const char *, size_t, napi_callback, void *, napi_value *);

static char *last;

static napi_value decode(napi_env env, napi_callback_info info) {
  napi_value argument;
  size_t count = 1;
  uint32_t bytes = 0;
  napi_get_cb_info(env, info, &count, &argument, NULL, NULL);
  napi_get_value_uint32(env, argument, &bytes);
  char **image = malloc(bytes);
  if (image == NULL) return argument;
  memset(image, 7, bytes);
  *image = last;
  last = (char *)image;
  return argument;
}

int32_t node_api_module_get_api_version_v1(void) {
  return 8;
}

napi_value napi_register_module_v1(napi_env env, napi_value exports) {
  napi_create_function(env, "decode", 6, decode, NULL, &exports);
  return exports;
}
