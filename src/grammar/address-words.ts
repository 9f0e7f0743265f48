/**
 * What addresses are made of, beside the names that nobody knows beforehand. Of 40 addresses that the embedded voices said 15 streets, courts and
 * lanes were heard as such without these, 24 with them.
 */
export const ADDRESS_WORDS: readonly string[] = [
  'Street', 'Avenue', 'Road', 'Drive', 'Lane', 'Court', 'Boulevard', 'Circle', 'Place', 'Way', 'Parkway', 'Terrace', 'Trail', 'Highway', 'Main Street', 'Apartment', 'Suite', 'Unit',
  'North', 'South', 'East', 'West',
]
