/* What a library of compiled kernels needs around them: a Python callable for each, and memory for their arrays.
 *
 * Numba hands over each kernel as `int entry(void **slots)`, and build.py writes the tables of them (`tables.h`). Slots
 * are numbers, pointers and lengths of 8 bytes each: where the result goes, where an error would go, then the arguments
 * as Numba lays them out. An array is (owner, parent, length, item size, data, shape, strides); here it has no owner,
 * as its caller holds it. Arguments are checked as Numba's dispatcher does: a kernel sees no array of another type.
 *
 * A signature is the result, ":", and the arguments; "t" says that the result is a tuple, "v" that there is none:
 *   q int64   d float64   f float32   ? bool   and of arrays: Q I D F B (int64 int32 float64 float32 bool), number of
 *   dimensions, "w" or "r" (may be read-only).
 */
#define PY_SSIZE_T_CLEAN
#define NPY_NO_DEPRECATED_API NPY_1_7_API_VERSION
#include <Python.h>
#include <numpy/arrayobject.h>
#include <structmember.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

typedef union { int64_t integer; double real; float single; uint8_t truth; void *pointer; } Slot;
typedef struct { const char *name, *signature; int releases_lock; int32_t (*entry)(Slot *); } Row;

#include "tables.h" /* MOST_SLOTS, SOURCES, rows_v4, rows_v3 */

#define MOST_RESULT_WORDS 64
enum { OKAY = 0, NOTHING = -2 }; /* RETCODE_OK, RETCODE_NONE of numba/core/callconv.py */
enum { ITEMS = 2, ITEM_SIZE = 3, DATA = 4, SHAPE = 5 };

/* Memory, as numba/core/runtime/nrtdynmod.py declares it: code counts references itself, and calls this for the rest. */
typedef struct { size_t n_references; void (*destroy)(void *, size_t, void *); void *context, *data; size_t size; } Owned;

Owned *NRT_MemInfo_alloc_aligned(size_t size, uint32_t alignment)
{
    Owned *owned = malloc(sizeof(Owned) + size + alignment);
    if (owned == NULL)
        return NULL;
    uintptr_t start = (uintptr_t)(owned + 1);
    if (alignment > 1)
        start = (start + alignment - 1) / alignment * alignment;
    *owned = (Owned){.n_references = 1, .data = (void *)start, .size = size};
    return owned;
}

void NRT_MemInfo_call_dtor(Owned *owned) { free(owned); }

/* As numba/_helperlib.c declares it. Kernels give a contiguous array another shape only; no other array gets one. */
int numba_attempt_nocopy_reshape(npy_intp n, const npy_intp *shape, const npy_intp *strides, npy_intp n_new,
                                 const npy_intp *new_shape, npy_intp *new_strides, npy_intp item_size, int by_columns)
{
    npy_intp stride = item_size, size = 1;
    for (npy_intp i = 0; i < n; i++)
        size *= shape[i];
    for (npy_intp i = n - 1; i >= 0 && size > 0; stride *= shape[i--])
        if (by_columns || (strides[i] != stride && shape[i] != 1))
            return 0;
    stride = item_size;
    for (npy_intp i = n_new - 1; i >= 0; stride *= new_shape[i--])
        new_strides[i] = stride;
    return 1;
}

static int number_of(char kind)
{
    switch (kind) {
    case 'Q': return NPY_INT64;
    case 'I': return NPY_INT32;
    case 'D': return NPY_FLOAT64;
    case 'F': return NPY_FLOAT32;
    default: return NPY_BOOL;
    }
}

static int fits(PyObject *object, const char *kind)
{
    if (!PyArray_Check(object))
        return 0;
    PyArrayObject *array = (PyArrayObject *)object;
    return PyArray_NDIM(array) == kind[1] - '0' && PyArray_EquivTypenums(PyArray_TYPE(array), number_of(kind[0])) &&
           PyArray_ISCARRAY_RO(array) && (kind[2] == 'r' || PyArray_ISWRITEABLE(array));
}

/* Fill the slots of one argument; return their number, or -1 with an error set. */
static int fill(PyObject *object, const char *kind, Slot *slots)
{
    PyObject *index;
    switch (*kind) {
    case 'q':
        if ((index = PyNumber_Index(object)) == NULL)
            return -1;
        slots->integer = PyLong_AsLongLong(index);
        Py_DECREF(index);
        return PyErr_Occurred() ? -1 : 1;
    case 'd':
        slots->real = PyFloat_AsDouble(object);
        return PyErr_Occurred() ? -1 : 1;
    case 'f':
        slots->single = (float)PyFloat_AsDouble(object);
        return PyErr_Occurred() ? -1 : 1;
    case '?':
        slots->truth = (uint8_t)PyObject_IsTrue(object);
        return PyErr_Occurred() ? -1 : 1;
    }
    if (!fits(object, kind)) {
        PyErr_Format(PyExc_TypeError, "no contiguous array of the right type and number of dimensions (%.3s): %R", kind,
                     Py_TYPE(object));
        return -1;
    }
    PyArrayObject *array = (PyArrayObject *)object;
    int n = PyArray_NDIM(array);
    slots[0].pointer = slots[1].pointer = NULL;
    slots[ITEMS].integer = PyArray_SIZE(array);
    slots[ITEM_SIZE].integer = PyArray_ITEMSIZE(array);
    slots[DATA].pointer = PyArray_DATA(array);
    for (int i = 0; i < n; i++) {
        slots[SHAPE + i].integer = PyArray_DIM(array, i);
        slots[SHAPE + n + i].integer = PyArray_STRIDE(array, i);
    }
    return SHAPE + 2 * n;
}

/* Return a new array with what a kernel's array holds, and let go of that. */
static PyObject *array_of(const char *kind, Slot *slots)
{
    npy_intp shape[NPY_MAXDIMS];
    int n = kind[1] - '0';
    for (int i = 0; i < n; i++)
        shape[i] = (npy_intp)slots[SHAPE + i].integer;
    PyObject *array = PyArray_SimpleNew(n, shape, number_of(kind[0]));
    if (array != NULL)
        memcpy(PyArray_DATA((PyArrayObject *)array), slots[DATA].pointer, PyArray_NBYTES((PyArrayObject *)array));
    Owned *owned = slots[0].pointer;
    if (owned != NULL && __atomic_sub_fetch(&owned->n_references, 1, __ATOMIC_ACQ_REL) == 0)
        NRT_MemInfo_call_dtor(owned);
    return array;
}

static PyObject *result_of(const char *kind, Slot *slots, int *n_slots)
{
    *n_slots = 1;
    switch (*kind) {
    case 'v': Py_RETURN_NONE;
    case 'q': return PyLong_FromLongLong(slots->integer);
    case 'd': return PyFloat_FromDouble(slots->real);
    case '?': return PyBool_FromLong(slots->truth & 1);
    }
    *n_slots = SHAPE + 2 * (kind[1] - '0');
    return array_of(kind, slots);
}

static int length_of(const char *kind) { return strchr("QIDFB", *kind) ? 3 : 1; }

static PyObject *tuple_of(const char *kind, Slot *slots)
{
    int is_whole = 1, n_slots;
    PyObject *list = PyList_New(0);
    for (; list != NULL && *kind != ':'; kind += length_of(kind), slots += n_slots) {
        PyObject *item = result_of(kind, slots, &n_slots); /* even after an error: arrays are to be let go of */
        is_whole = item != NULL && PyList_Append(list, item) == 0 && is_whole;
        Py_XDECREF(item);
    }
    PyObject *tuple = list != NULL && is_whole ? PyList_AsTuple(list) : NULL;
    Py_XDECREF(list);
    return tuple;
}

typedef struct { PyObject_HEAD vectorcallfunc call; const Row *row; PyObject *function, *origin; } Kernel;

static PyObject *kernel_call(PyObject *self, PyObject *const *arguments, size_t n_flagged, PyObject *names)
{
    const Row *row = ((Kernel *)self)->row;
    Slot slots[MOST_SLOTS], result[MOST_RESULT_WORDS] = {0};
    void *error = NULL;
    Py_ssize_t n = PyVectorcall_NARGS(n_flagged), i = 0;
    Slot *next = slots;
    (next++)->pointer = result;
    (next++)->pointer = &error;
    const char *kind = strchr(row->signature, ':') + 1;
    for (; *kind && i < n; kind += length_of(kind), i++) {
        int n_filled = fill(arguments[i], kind, next);
        if (n_filled < 0)
            return NULL;
        next += n_filled;
    }
    if (*kind || i < n || (names != NULL && PyTuple_GET_SIZE(names))) {
        PyErr_Format(PyExc_TypeError, "%s: a wrong number of arguments, or some by name", row->name);
        return NULL;
    }
    int32_t status;
    if (row->releases_lock) {
        Py_BEGIN_ALLOW_THREADS
        status = row->entry(slots);
        Py_END_ALLOW_THREADS
    } else {
        status = row->entry(slots);
    }
    if (status != OKAY && status != NOTHING)
        return PyErr_Format(PyExc_RuntimeError, "%s failed with code %d: out of memory?", row->name, (int)status);
    int n_slots;
    return *row->signature == 't' ? tuple_of(row->signature + 1, result) : result_of(row->signature, result, &n_slots);
}

static void kernel_free(Kernel *self)
{
    Py_XDECREF(self->function);
    Py_XDECREF(self->origin);
    Py_TYPE(self)->tp_free(self);
}

static PyObject *kernel_text(Kernel *self) { return PyUnicode_FromFormat("<kernel %s>", self->row->name); }

static PyMemberDef kernel_members[] = {
    {"py_func", T_OBJECT, offsetof(Kernel, function), READONLY, "The function in Python, named as Numba names it."},
    {"origin", T_OBJECT, offsetof(Kernel, origin), READONLY, "What stands for it in code that Numba compiles."},
    {NULL},
};

static PyTypeObject KernelType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "gnn_branching.compilation._ahead.Kernel",
    .tp_basicsize = sizeof(Kernel),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_vectorcall_offset = offsetof(Kernel, call),
    .tp_call = PyVectorcall_Call,
    .tp_dealloc = (destructor)kernel_free,
    .tp_repr = (reprfunc)kernel_text,
    .tp_members = kernel_members,
};

/* The level of processors that code is to be for; NULL if there is none for this one. */
static const char *level(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("x86-64-v4") ? "x86-64-v4" : __builtin_cpu_supports("x86-64-v3") ? "x86-64-v3" : NULL;
}

static const Row *find(const char *name, const Row *row)
{
    while (row->name != NULL && strcmp(row->name, name) != 0)
        row++;
    return row->name ? row : NULL;
}

static PyObject *find_level(PyObject *module, PyObject *nothing)
{
    return level() ? PyUnicode_FromString(level()) : Py_NewRef(Py_None);
}

static PyObject *find_kernel(PyObject *module, PyObject *arguments)
{
    const char *name;
    PyObject *function, *origin;
    if (!PyArg_ParseTuple(arguments, "sOO", &name, &function, &origin))
        return NULL;
    const Row *row = level() && strcmp(level(), "x86-64-v4") == 0 ? find(name, rows_v4) : NULL;
    if (row == NULL && level())
        row = find(name, rows_v3);
    if (row == NULL)
        Py_RETURN_NONE;
    Kernel *kernel = PyObject_New(Kernel, &KernelType);
    if (kernel != NULL) {
        kernel->call = kernel_call;
        kernel->row = row;
        kernel->function = Py_NewRef(function);
        kernel->origin = Py_NewRef(origin);
    }
    return (PyObject *)kernel;
}

static PyMethodDef functions[] = {
    {"level", find_level, METH_NOARGS, "Return the level of the processor, None if there is no code for it."},
    {"kernel", find_kernel, METH_VARARGS, "Return the kernel of a name, None if it was not compiled."},
    {NULL},
};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "_ahead", .m_size = -1, .m_methods = functions};

PyMODINIT_FUNC PyInit__ahead(void)
{
    import_array();
    if (PyType_Ready(&KernelType) < 0)
        return NULL;
    PyObject *module = PyModule_Create(&definition);
    if (module != NULL && (PyModule_AddObjectRef(module, "Kernel", (PyObject *)&KernelType) < 0 ||
                           PyModule_AddStringConstant(module, "SOURCES", SOURCES) < 0))
        Py_CLEAR(module);
    return module;
}
