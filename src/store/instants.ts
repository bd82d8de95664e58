/** The driver gives timestamps as text; repositories give them on as Dates, null as null. */
export function withDates<Row extends object>(row: Row, ...names: readonly (keyof Row)[]): Row {
  const dates = names.map((name) => {
    const value = row[name] as unknown;
    return [name, value === null || value === undefined ? null : new Date(value as string | Date)] as const;
  });
  return { ...row, ...Object.fromEntries(dates) };
}
