/* version: what every program of this repository says it is. */
#ifndef RINGFENCE_VERSION_H
#define RINGFENCE_VERSION_H

#define RINGFENCE_VERSION "0.1.0"

#endif
