//! Conversions, embeddings, gathers and scatters.

use super::*;
use serin_ops::EmbeddingTables;

#[test]
fn writing_rounds_and_reading_widens() {
    let levels = Level::all();
    for dtype in DTYPES {
        for len in WIDTHS.into_iter().chain([0, 100_003]) {
            let host = numbers(len, 5);
            let want: Vec<f64> = [0.0; 3].into_iter().chain(host.iter().map(|&value| rounded(dtype, value))).collect();
            for level in &levels {
                let mut buffer = guarded(dtype, &vec![0.0; 3 + len]);
                level.run(len > 0, |cpu| cpu.write(&mut buffer, 3, &host));
                assert_same("written", &buffer, &want);
                let mut back = vec![0.0; len];
                level.run(len > 0, |cpu| cpu.read(&buffer, 3, &mut back).unwrap());
                assert!(back.iter().zip(&want[3..]).all(|(&back, &want)| f64::from(back) == want));
            }
        }
    }
}

#[test]
fn embedding_adds_up_the_rows_of_three_tables() {
    let levels = Level::all();
    for (table_type, out_type) in DTYPES.into_iter().flat_map(|a| DTYPES.map(|b| (a, b))) {
        for (rows, width) in shapes() {
            let [word, position, token_type] =
                [(50, 1), (20, 2), (2, 3)].map(|(count, seed)| random(table_type, count * width, seed));
            let (ids, positions, types) = (scattered(rows, 50), scattered(rows, 20), scattered(rows, 2));
            for with_types in [true, false] {
                let tables = || EmbeddingTables {
                    word: &word,
                    position: &position,
                    token_type: with_types.then_some(&token_type),
                };
                let mut terms = vec![(values(&word), &ids), (values(&position), &positions)];
                if with_types {
                    terms.push((values(&token_type), &types));
                }
                let at = |index: usize, magnitude: bool| -> f64 {
                    let term = |(table, ids): &(Vec<f64>, &Vec<u32>)| {
                        table[ids[index / width] as usize * width + index % width]
                    };
                    terms.iter().map(|pair| if magnitude { term(pair).abs() } else { term(pair) }).sum()
                };
                let want: Vec<f64> = (0..rows * width).map(|index| at(index, false)).collect();
                for level in &levels {
                    let mut out = random(out_type, rows * width, 9);
                    level.run(rows > 0, |cpu| cpu.embed(tables(), &ids, &positions, &types, rows, width, &mut out));
                    assert_close("embedding", &out, &want, |index| 2.0 * U * at(index, true));
                }
            }
        }
    }
}

#[test]
fn the_embedding_s_backward_adds_rows_that_repeat() {
    let levels = Level::all();
    for dtype in DTYPES {
        for (rows, width) in shapes() {
            let d_out = random(dtype, rows * width, 1);
            // Several rows a table row, and table rows without any.
            let indices = scattered(rows, 5);
            let table = random(DType::F32, 7 * width, 2);
            let (mut want, mut magnitude) = (values(&table), values(&table));
            magnitude.iter_mut().for_each(|value| *value = value.abs());
            for (index, value) in values(&d_out).into_iter().enumerate() {
                let target = indices[index / width] as usize * width + index % width;
                want[target] += value;
                magnitude[target] += value.abs();
            }
            for level in &levels {
                let mut d_table = copy(&table);
                level.run(true, |cpu| cpu.embed_backward(&d_out, &indices, rows, width, &mut d_table));
                assert_close("d_table", &d_table, &want, |index| rows as f64 * U * magnitude[index]);
            }
        }
    }
}

#[test]
fn gathering_copies_rows_between_types() {
    let levels = Level::all();
    for (from, to) in DTYPES.into_iter().flat_map(|a| DTYPES.map(|b| (a, b))) {
        for (rows, width) in shapes() {
            let x = random(from, 11 * width, 1);
            let indices = scattered(rows, 11);
            let all = values(&x);
            let want = indices.iter().flat_map(|&row| all[row as usize * width..][..width].iter());
            let want: Vec<f64> = want.map(|&value| rounded(to, value as f32)).collect();
            for level in &levels {
                let mut out = random(to, rows * width, 2);
                level.run(rows > 0, |cpu| cpu.gather_rows(&x, &indices, width, &mut out));
                assert_same("gathered", &out, &want);
            }
        }
    }
}

#[test]
fn scattering_adds_rows_between_types() {
    let levels = Level::all();
    for (from, to) in DTYPES.into_iter().flat_map(|a| DTYPES.map(|b| (a, b))) {
        for (rows, width) in shapes() {
            // A prime above 300: all indices differ.
            let (d_out, indices) = (random(from, rows * width, 1), scattered(rows, 307));
            let before = random(to, 307 * width, 2);
            let mut want = values(&before);
            for (index, value) in values(&d_out).into_iter().enumerate() {
                let target = indices[index / width] as usize * width + index % width;
                want[target] = rounded(to, (want[target] + value) as f32);
            }
            for level in &levels {
                let mut d_x = copy(&before);
                level.run(true, |cpu| cpu.scatter_add_rows(&d_out, &indices, width, &mut d_x));
                assert_same("scattered", &d_x, &want);
            }
        }
    }
}

#[test]
#[should_panic]
fn an_index_beyond_the_table_panics() {
    let level = &Level::all()[0];
    let (d_out, mut table) = (random(DType::F32, 16, 1), random(DType::F32, 32, 2));
    level.cpu.embed_backward(&d_out, &vec![9], 1, 16, &mut table);
}
