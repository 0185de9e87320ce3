"""Photos: found, read, catalogued, divided, held as pixels and augmented."""
