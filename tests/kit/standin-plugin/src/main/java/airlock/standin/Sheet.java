package airlock.standin;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import nextflow.exception.AbortOperationException;

/** A samplesheet's schema: an array of objects, whose properties stand in the rows' order. */
final class Sheet {

    private final Map<String, Object> properties;
    private final List<?> required;

    Sheet(Path file) {
        Map<String, Object> items = Schemas.mapping(Schemas.read(file).get("items"));
        properties = Schemas.mapping(items.get("properties"));
        required = Schemas.list(items.get("required"));
    }

    /** A list for each row; all faults are named at once. */
    List<List<Object>> rows(Path sheet) {
        List<List<Object>> rows = new ArrayList<>();
        List<String> faults = new ArrayList<>();
        List<String> lines = read(sheet);
        String[] header = lines.get(0).split(",", -1);
        for (String line : lines.subList(1, lines.size())) {
            String where = sheet.getFileName() + ", row " + (rows.size() + 1);
            rows.add(row(where, cells(header, line), faults));
        }
        if (!faults.isEmpty()) {
            throw new AbortOperationException(
                    "The samplesheet does not fit its schema:\n  " + String.join("\n  ", faults));
        }
        return rows;
    }

    private List<Object> row(String where, Map<String, String> cells, List<String> faults) {
        Map<Object, Object> meta = new LinkedHashMap<>();
        List<Object> others = new ArrayList<>();
        properties.forEach((name, about) -> {
            Map<String, Object> property = Schemas.mapping(about);
            String cell = cells.getOrDefault(name, "");
            if (!cell.isEmpty()) {
                faults.addAll(Schemas.faults(where + ", " + name, cell, property));
            } else if (required.contains(name)) {
                faults.add(where + ", " + name + ": it is required");
            }
            Object value = cell.isEmpty() ? List.of()
                    : Schemas.isFile(property) ? Schemas.path(cell) : cell;
            List<?> fields = Schemas.list(property.get("meta"));
            if (fields.isEmpty()) {
                others.add(value);
            }
            fields.forEach(field -> meta.put(field, value));
        });
        others.add(0, meta);
        return others;
    }

    private static Map<String, String> cells(String[] header, String line) {
        if (line.contains("\"")) {
            throw new AbortOperationException("the stand-in reads no quoted cells: " + line);
        }
        String[] cells = line.split(",", -1);
        Map<String, String> found = new LinkedHashMap<>();
        for (int i = 0; i < header.length && i < cells.length; i++) {
            found.put(header[i].trim(), cells[i].trim());
        }
        return found;
    }

    private static List<String> read(Path sheet) {
        try {
            List<String> lines = new ArrayList<>(Files.readAllLines(sheet));
            lines.removeIf(String::isBlank);
            if (lines.isEmpty()) {
                throw new AbortOperationException(sheet + " is empty");
            }
            return lines;
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }
}
