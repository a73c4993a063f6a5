#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <yaml.h>

/* How many scalars a YAML text has; -1 if it is none. */
static PyObject *scalars(PyObject *module, PyObject *text)
{
    Py_ssize_t size;
    const char *bytes = PyUnicode_AsUTF8AndSize(text, &size);
    yaml_parser_t parser;
    yaml_event_t event;
    int end = 0;
    long found = 0;

    (void)module;
    if (!bytes || !yaml_parser_initialize(&parser))
        return NULL;
    yaml_parser_set_input_string(&parser, (const unsigned char *)bytes, (size_t)size);
    while (!end && found >= 0) {
        if (!yaml_parser_parse(&parser, &event)) {
            found = -1;
            break;
        }
        found += event.type == YAML_SCALAR_EVENT;
        end = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return PyLong_FromLong(found);
}

static PyMethodDef methods[] = {{"scalars", scalars, METH_O, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "events", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_events(void)
{
    return PyModule_Create(&module);
}
